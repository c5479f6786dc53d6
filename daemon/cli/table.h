/*
 * Tables: columns as wide as what is in them. Rows are kept until the table is printed.
 */
#pragma once

#include <stddef.h>

#define TABLE_COLUMNS_MAX 8

struct table {
    const char *const *titles; /* of the columns; borrowed */
    size_t column_count;
    char **cells; /* escaped; row after row */
    size_t cell_count;
    size_t cells_capacity;
};

/* A table that is all zero but for its titles is empty and ready. */

/* Adds a cell: the rows fill themselves from left to right. Errors: -ENOMEM. */
int table_add(struct table *table, const char *bytes, size_t size) __attribute__((warn_unused_result));
int table_add_number(struct table *table, long long number) __attribute__((warn_unused_result));

/* Writes the titles and the rows on stdout; the last column may be of any width. */
void table_print(const struct table *table);

void table_done(struct table *table);
