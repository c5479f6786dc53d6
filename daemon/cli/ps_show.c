#include "daemon/cli/ps_show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/macros.h"

/* Notes below a row: what is awaited, and what led to it. A line that would be longer goes on in the next. */
enum { INDENT = 4, INDENT_MORE = 8, LINE_COLUMNS = 100 };

static const char *const titles[] = {"ID", "TYPE", "QUEUE", "STATE", "ATTEMPT", "FOR", "WORKER"};

void ps_show_begin(struct table *table)
{
    *table = (struct table){.titles = titles, .column_count = ELEMENTS(titles)};
}

/* ---- Values ---- */

void ps_show_duration(int64_t ms, char buffer[static PS_DURATION_SIZE])
{
    static const struct unit {
        int64_t ms;
        const char *name;
    } units[] = {{INT64_C(86400) * 1000, "d"}, {3600 * 1000, "h"}, {60 * 1000, "min"}, {1000, "s"}};

    for (size_t i = 0; i < ELEMENTS(units); i++) {
        int64_t tenths = ms / (units[i].ms / 10);

        if (ms < units[i].ms)
            continue;
        if (tenths < 100 && tenths % 10 != 0)
            (void)snprintf(buffer, PS_DURATION_SIZE, "%" PRId64 ".%" PRId64 " %s", tenths / 10, tenths % 10,
                           units[i].name);
        else
            (void)snprintf(buffer, PS_DURATION_SIZE, "%" PRId64 " %s", tenths / 10, units[i].name);
        return;
    }
    (void)snprintf(buffer, PS_DURATION_SIZE, "%" PRId64 " ms", ms);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int add_text(struct table *table, const char *text)
{
    return text ? table_add(table, text, strlen(text)) : table_add(table, "-", 1);
}

static int add_row(struct table *table, const json_t *job)
{
    static const char *const names[] = {"id", "type", "queue", "state"};
    const json_t *for_ms = json_object_get(job, "for_ms");
    const char *node = text_of(job, "node");
    char duration[PS_DURATION_SIZE], *worker;
    int r = 0;

    ps_show_duration(json_integer_value(for_ms), duration);

    for (size_t i = 0; i < ELEMENTS(names) && r == 0; i++)
        r = add_text(table, text_of(job, names[i]));
    if (r == 0)
        r = table_add_number(table, number_of(job, "attempt"));
    if (r == 0)
        r = add_text(table, json_is_integer(for_ms) ? duration : NULL);
    if (r == 0)
        r = asprintf(&worker, "%s/%" PRId64, node ? node : "-", number_of(job, "pid")) < 0 ? -ENOMEM : 0;
    if (r < 0)
        return r;
    r = add_text(table, worker);
    free(worker);
    return r;
}

/* ---- Operations ---- */

/* Tasks, and the chains of jobs, are operations too: they wait by those that they have begun. */
static bool is_task(const json_t *operation)
{
    const char *kind = text_of(operation, "kind");

    return kind && (strcmp(kind, "task") == 0 || strcmp(kind, "job") == 0);
}

static bool waits_by_another(const json_t *operations, const json_t *task)
{
    int64_t id = number_of(task, "id");

    for (size_t i = 0; i < json_array_size(operations); i++) {
        const json_t *operation = json_array_get(operations, i);

        if (!is_task(operation) && number_of(operation, "trigger") == id)
            return true;
    }
    return false;
}

/* "at audit (profile.c:12) in task audit". */
static int write_place(const json_t *operation, char **ret_words)
{
    const char *at = text_of(operation, "at"), *task = text_of(operation, "task");
    const char *handler = text_of(operation, "handler");
    const char *who = task ? task : handler;

    return asprintf(ret_words, "%s%s%s%s%s", at ? is_task(operation) ? ", started at " : " at " : "", at ? at : "",
                    who ? " in " : "", who ? task ? "task " : "handler " : "", who ? who : "");
}

/* The first of a stack is the operation itself. */
static int add_stack(struct table *table, const char *stack)
{
    static const char separator[] = ", started by ";
    int r = 0;

    for (const char *at = strstr(stack, separator); at && r == 0;) {
        const char *begin = at + 2, *next = strstr(begin, separator);
        CLEANUP_FREE char *line = strndup(begin, next ? (size_t)(next - begin) : strlen(begin));

        r = line ? table_add_note(table, INDENT_MORE, line) : -ENOMEM;
        at = next;
    }
    return r;
}

static int add_operation(struct table *table, const json_t *operation)
{
    CLEANUP_FREE char *wait = NULL, *place = NULL, *line = NULL;
    const char *what = text_of(operation, "what"), *stack = text_of(operation, "stack");
    char duration[PS_DURATION_SIZE];

    /* "awaits sleep, 40 ms left (for 1.2 s)". */
    ps_show_duration(number_of(operation, "for_ms"), duration);
    int r = is_task(operation) ? asprintf(&wait, "is ready to go on")
                               : asprintf(&wait, "awaits %s (for %s)", what ? what : "-", duration);
    if (r < 0 || write_place(operation, &place) < 0 || asprintf(&line, "%s%s", wait, place) < 0)
        return -ENOMEM;
    if (INDENT + strlen(line) <= LINE_COLUMNS || place[0] == '\0') {
        r = table_add_note(table, INDENT, line);
    } else {
        r = table_add_note(table, INDENT, wait);
        if (r == 0)
            r = table_add_note(table, INDENT_MORE, place + 1);
    }
    return r == 0 && stack ? add_stack(table, stack) : r;
}

/* The oldest first, which is what others hang on. */
static int add_operations(struct table *table, const json_t *job)
{
    const json_t *operations = json_object_get(job, "operations");
    int64_t left_out = number_of(job, "operations_left_out");
    char words[64];
    int r = 0;

    for (size_t i = json_array_size(operations); i-- > 0 && r == 0;) {
        const json_t *operation = json_array_get(operations, i);

        if (!is_task(operation) || !waits_by_another(operations, operation))
            r = add_operation(table, operation);
    }
    if (r < 0 || left_out == 0)
        return r;
    (void)snprintf(words, sizeof(words), "and %" PRId64 " more", left_out);
    return table_add_note(table, INDENT, words);
}

/* ---- Jobs ---- */

int ps_show_job(struct table *table, const json_t *job)
{
    const char *state = text_of(job, "state");
    int r = add_row(table, job);

    if (r == 0 && state && strcmp(state, "outlived") == 0) {
        bool waits = json_array_size(json_object_get(job, "operations")) > 0;
        int64_t contexts = number_of(job, "contexts");
        char words[128];

        /* A context that no operation holds has been captured by code that means to use it. */
        (void)snprintf(words, sizeof(words), "has ended; %" PRId64 " context%s of it %s alive%s", contexts,
                       contexts == 1 ? "" : "s", contexts == 1 ? "is" : "are",
                       waits ? ":" : ", captured by its own code");
        r = table_add_note(table, INDENT, words);
    }
    return r == 0 ? add_operations(table, job) : r;
}
