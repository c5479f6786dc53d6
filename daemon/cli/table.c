#include "daemon/cli/table.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cli/print.h"

/* The widest that a column but the last is made for the sake of one cell. */
#define COLUMN_WIDTH_MAX 48

int table_add(struct table *table, const char *bytes, size_t size)
{
    char *cell = NULL;
    size_t cell_size;
    FILE *stream;

    assert(table->column_count > 0);
    if (table->cell_count == table->cells_capacity) {
        size_t capacity = table->cells_capacity ? 2 * table->cells_capacity : 64;
        char **cells = reallocarray(table->cells, capacity, sizeof(*cells));

        if (!cells)
            return -ENOMEM;
        table->cells = cells;
        table->cells_capacity = capacity;
    }
    stream = open_memstream(&cell, &cell_size);
    if (!stream)
        return -ENOMEM;
    (void)print_escaped(stream, bytes, size);
    if (fclose(stream) != 0 || !cell) {
        free(cell);
        return -ENOMEM;
    }
    table->cells[table->cell_count++] = cell;
    return 0;
}

int table_add_number(struct table *table, long long number)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%lld", number);

    return table_add(table, text, (size_t)size);
}

int table_add_note(struct table *table, int indent, const char *text)
{
    size_t size = (size_t)indent + strlen(text) + 1;
    struct table_note *note = malloc(sizeof(*note) + size);

    if (!note)
        return -ENOMEM;
    note->next = NULL;
    note->cell_count = table->cell_count;
    (void)snprintf(note->text, size, "%*s%s", indent, "", text);
    if (table->last_note)
        table->last_note->next = note;
    else
        table->first_note = note;
    table->last_note = note;
    return 0;
}

static void widen(size_t *width, const char *cell)
{
    /* The escapes have been written already, and stay as they are. */
    size_t columns = print_escaped(NULL, cell, strlen(cell));

    if (columns > *width)
        *width = columns < COLUMN_WIDTH_MAX ? columns : COLUMN_WIDTH_MAX;
}

static void print_row(const struct table *table, const char *const *cells, const size_t *widths)
{
    for (size_t i = 0; i < table->column_count; i++) {
        size_t used = print_escaped(stdout, cells[i], strlen(cells[i]));

        if (i + 1 < table->column_count)
            printf("%*s", (int)(used < widths[i] ? widths[i] - used + 2 : 2), "");
    }
    putchar('\n');
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    assert(table->column_count <= TABLE_COLUMNS_MAX && table->cell_count % table->column_count == 0);
    for (size_t i = 0; i < table->column_count; i++)
        widen(&widths[i], table->titles[i]);
    for (size_t i = 0; i < table->cell_count; i++)
        widen(&widths[i % table->column_count], table->cells[i]);
    print_row(table, table->titles, widths);
    const struct table_note *note = table->first_note;
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count) {
        print_row(table, (const char *const *)table->cells + i, widths);
        for (; note && note->cell_count <= i + table->column_count; note = note->next) {
            (void)print_escaped(stdout, note->text, strlen(note->text));
            putchar('\n');
        }
    }
}

void table_done(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    while (table->first_note) {
        struct table_note *note = table->first_note;

        table->first_note = note->next;
        free(note);
    }
}
