/* weft dead list and weft dead show: what there is among the dead letters. */
#include "daemon/cli/dead.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/cleanup.h"
#include "context/macros.h"
#include "daemon/cli/command.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/stream.h"
#include "daemon/cli/table.h"
#include "queue/message/units.h"

int dead_report_missing(const char *id)
{
    return problem_report(1, "no dead letter of a job \"%s\"; `weft dead` lists those that there are", id);
}

/* The dead letters of all queues of a session, on their way to the terminal. */
struct reading {
    const char *queue; /* that is being read */
    bool json;
    int error;
    struct table table; /* of a list, as text */
    const char *id;     /* of the letter that is to be shown */
    bool found;
};

/* Gives EX_OK, or a status that has been reported. */
static int walk_letters(struct session *session, enum stream_order order,
                        bool (*visit)(const struct stream_entry *entry, void *reading), struct reading *reading)
{
    for (size_t i = 0; i < session->queue_count && !reading->found; i++) {
        const struct queue_keys *keys = &session->queues[i];

        reading->queue = keys->queue;
        if (stream_walk(session, keys->names[QUEUE_KEY_DEAD], order, SIZE_MAX, visit, reading) == STREAM_FAILED)
            return EX_UNAVAILABLE;
        if (reading->error < 0)
            return problem_report_memory();
    }
    return EX_OK;
}

/* ---- The list ---- */

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
static const char *find_cell(const struct reading *reading, const struct stream_entry *entry,
                             const struct column *column, size_t *ret_size)
{
    const redisReply *value = column->field ? stream_entry_find(entry, column->field) : NULL;
    const char *text = column->field ? "" : reading->queue;

    *ret_size = value ? (size_t)value->len : strlen(text);
    return value ? value->str : text;
}

static int print_row_json(const struct reading *reading, const struct stream_entry *entry)
{
    json_t *object = json_object();
    int r = object ? 0 : -ENOMEM;

    for (size_t i = 0; i < COLUMNS && r == 0; i++) {
        size_t size;
        const char *cell = find_cell(reading, entry, &columns[i], &size);

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

static bool list_letter(const struct stream_entry *entry, void *user)
{
    struct reading *reading = user;

    if (reading->json) {
        reading->error = print_row_json(reading, entry);
        return reading->error < 0;
    }
    for (size_t i = 0; i < COLUMNS && reading->error == 0; i++) {
        size_t size;
        const char *cell = find_cell(reading, entry, &columns[i], &size);

        reading->error = size == 0 ? table_add(&reading->table, "-", 1) : table_add(&reading->table, cell, size);
    }
    return reading->error < 0;
}

int dead_list_run(const struct invocation *invocation)
{
    const char *titles[COLUMNS];
    struct reading reading = {.json = invocation->options.json, .table = {.titles = titles, .column_count = COLUMNS}};

    for (size_t i = 0; i < COLUMNS; i++)
        titles[i] = columns[i].title;
    int status = walk_letters(invocation->session, STREAM_OLDEST_FIRST, list_letter, &reading);
    if (status == EX_OK && !reading.json && reading.table.cell_count > 0)
        table_print(&reading.table);
    else if (status == EX_OK && !reading.json)
        puts("No dead letters.");
    table_done(&reading.table);
    return status;
}

/* ---- One letter ---- */

/* The one field that is shown and not in Redis. No sender can have set it, since such names are weft's own. */
#define QUEUE_FIELD "weft.queue"

static int print_fields(const struct reading *reading, const struct stream_entry *entry)
{
    size_t count = entry->count + 1;
    CLEANUP_FREE struct print_pair *pairs = calloc(count, sizeof(*pairs));

    if (!pairs)
        return -ENOMEM;
    for (size_t i = 0; i < entry->count; i++) {
        const redisReply *name = entry->fields[2 * i], *value = entry->fields[2 * i + 1];

        pairs[i] = (struct print_pair){name->str, (size_t)name->len, value->str, (size_t)value->len};
    }
    pairs[entry->count] = (struct print_pair){QUEUE_FIELD, strlen(QUEUE_FIELD), reading->queue, strlen(reading->queue)};
    print_pairs(pairs, count);
    return 0;
}

static int print_fields_json(const struct reading *reading, const struct stream_entry *entry)
{
    json_t *object = json_object();
    int r = object ? 0 : -ENOMEM;

    for (size_t i = 0; i < entry->count && r == 0; i++) {
        const redisReply *name = entry->fields[2 * i], *value = entry->fields[2 * i + 1];

        r = print_add_json(object, name->str, (size_t)name->len, print_make_json(value->str, (size_t)value->len));
    }
    if (r == 0 && json_object_set_new(object, QUEUE_FIELD, json_string(reading->queue)) < 0)
        r = -ENOMEM;
    return print_made_json(object, r);
}

static bool show_letter(const struct stream_entry *entry, void *user)
{
    struct reading *reading = user;

    if (!job_id_is_of(reading->id, entry))
        return false;
    reading->found = true;
    reading->error = reading->json ? print_fields_json(reading, entry) : print_fields(reading, entry);
    return true;
}

int dead_show_run(const struct invocation *invocation)
{
    struct reading reading = {.id = invocation->options.words[0], .json = invocation->options.json};
    int status = walk_letters(invocation->session, STREAM_NEWEST_FIRST, show_letter, &reading);

    return status == EX_OK && !reading.found ? dead_report_missing(reading.id) : status;
}
