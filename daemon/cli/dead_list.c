/* weft dead list: one line for each dead letter. */
#include "daemon/cli/dead_list.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "daemon/cli/stream.h"
#include "daemon/cli/table.h"
#include "queue/message/units.h"

struct list {
    const char *queue; /* that is being read */
    bool json;
    struct table table;
    int error;
};

/* The columns; NULL for the field: the queue's name. */
static const struct column {
    const char *title;
    const char *name;  /* in JSON */
    const char *field; /* of the dead letter */
} columns[] = {
    {"ID", "id", "weft.id"},
    {"TYPE", "type", "type"},
    {"QUEUE", "queue", NULL},
    {"ATTEMPTS", "attempts", "weft.attempts"},
    {"FAILED AT", "failed_at", "weft.failed_at"},
    {"ERROR", "error", "weft.error"},
};

enum { COLUMNS = ELEMENTS(columns) };

/* Gives the cell's bytes; a letter without the field has none. */
static const char *find_cell(const struct list *list, const struct stream_entry *entry, const struct column *column,
                             size_t *ret_size)
{
    const redisReply *value = column->field ? stream_entry_find(entry, column->field) : NULL;
    const char *text = column->field ? "" : list->queue;

    *ret_size = value ? (size_t)value->len : strlen(text);
    return value ? value->str : text;
}

static int print_row_json(const struct list *list, const struct stream_entry *entry)
{
    json_t *object = json_object();
    int r = object ? 0 : -ENOMEM;

    for (size_t i = 0; i < COLUMNS && r == 0; i++) {
        size_t size;
        const char *cell = find_cell(list, entry, &columns[i], &size);

        if (size == 0)
            continue;
        int64_t number;
        bool is_number =
            strcmp(columns[i].name, "attempts") == 0 && units_parse_integer(cell, size, 0, INT64_MAX, &number) == 0;

        r = json_object_set_new(object, columns[i].name,
                                is_number ? json_integer(number) : print_make_json(cell, size));
        if (r < 0)
            r = -ENOMEM;
    }
    return print_made_json(object, r);
}

static bool visit(const struct stream_entry *entry, void *user)
{
    struct list *list = user;

    if (list->json) {
        list->error = print_row_json(list, entry);
        return list->error < 0;
    }
    for (size_t i = 0; i < COLUMNS && list->error == 0; i++) {
        size_t size;
        const char *cell = find_cell(list, entry, &columns[i], &size);

        list->error = size == 0 ? table_add(&list->table, "-", 1) : table_add(&list->table, cell, size);
    }
    return list->error < 0;
}

static int list_all(struct session *session, struct list *list)
{
    for (size_t i = 0; i < session->queue_count; i++) {
        list->queue = session->queues[i].queue;
        if (stream_walk(session, session->queues[i].names[QUEUE_KEY_DEAD], STREAM_OLDEST_FIRST, SIZE_MAX, visit,
                        list) == STREAM_FAILED)
            return EX_UNAVAILABLE;
        if (list->error < 0)
            return problem_report_memory();
    }
    if (!list->json && list->table.cell_count > 0)
        table_print(&list->table);
    else if (!list->json)
        puts("No dead letters.");
    return EX_OK;
}

int dead_list(const struct invocation *invocation)
{
    const char *titles[COLUMNS];
    struct list list = {.json = invocation->options.json, .table = {.titles = titles, .column_count = COLUMNS}};
    struct session session;
    int status = session_open(&session, invocation->config, invocation->options.queue);

    if (status != EX_OK)
        return status;
    for (size_t i = 0; i < COLUMNS; i++)
        titles[i] = columns[i].title;
    status = list_all(&session, &list);
    table_done(&list.table);
    session_close(&session);
    return status;
}
