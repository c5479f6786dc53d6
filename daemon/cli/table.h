/*
 * Tables: columns as wide as what is in them. Rows are kept until the table is printed.
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"

#define TABLE_COLUMNS_MAX 8

/* A line below a row. */
struct table_note {
    struct table_note *next;
    size_t cell_count; /* of the table, when it was added */
    char text[];
};

struct table {
    const char *const *titles; /* of the columns; borrowed */
    size_t column_count;
    char **cells; /* escaped; row after row */
    size_t cell_count;
    size_t cells_capacity;
    struct table_note *first_note; /* in the order of their rows */
    struct table_note *last_note;
};

/* A table that is all zero but for its titles is empty and ready. */

/* Adds a cell: the rows fill themselves from left to right. Errors: -ENOMEM. */
int table_add(struct table *table, const char *bytes, size_t size) MUST_CHECK;
int table_add_number(struct table *table, long long number) MUST_CHECK;

/* Adds a line, indented by so many columns, below the row that was added last. It is escaped. Errors: -ENOMEM. */
int table_add_note(struct table *table, int indent, const char *text) MUST_CHECK;

/* Writes the titles and the rows on stdout; the last column may be of any width. */
void table_print(const struct table *table);

void table_done(struct table *table);
