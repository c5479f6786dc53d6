#include "daemon/worker/snapshot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "context/async/code_address.h"
#include "context/async/operation.h"
#include "context/frame.h"
#include "context/job_frame.h"
#include "context/seed.h"
#include "context/time.h"
#include "context/utf8.h"
#include "handlers/attempt.h"

/* What an answer has at the most. */
enum { JOBS_MAX = 500, OPERATIONS_MAX = 32, ANSWER_MAX = 256 * 1024, STACK_SIZE = 2048 };

struct snapshot_job {
    const void *identity; /* not to be followed: the job may be gone by now */
    json_t *object;
    json_t *operations; /* in the object; the newest first */
    int64_t pending;    /* operations that there are */
    int64_t seen;
};

struct snapshot {
    const struct snapshot_question *question;
    int64_t now_us;
    struct time_text clock;
    struct snapshot_job jobs[JOBS_MAX]; /* the oldest first */
    struct snapshot_job *by_identity[JOBS_MAX];
    size_t count;
    int64_t left_out;
    bool failed; /* there was no memory */
};

/* ---- Values ---- */

static json_t *make_replaced(const char *text)
{
    size_t size = strlen(text);
    char *copy = malloc(3 * size + 1), *end = copy;

    for (size_t at = 0; copy && at < size;) {
        uint32_t character;
        size_t length = utf8_decode(text + at, size - at, &character);

        end = character == UTF8_INVALID ? mempcpy(end, "\xef\xbf\xbd", 3) : mempcpy(end, text + at, length);
        at += length;
    }
    json_t *value = copy ? json_stringn(copy, (size_t)(end - copy)) : NULL;
    free(copy);
    return value;
}

/* Names are words of plugins, and need not be UTF-8. */
static json_t *make_text(const char *text)
{
    json_t *value = json_string(text);

    return value ? value : make_replaced(text);
}

static void put(struct snapshot *snapshot, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) < 0)
        snapshot->failed = true;
}

static void put_text(struct snapshot *snapshot, json_t *object, const char *name, const char *text)
{
    if (text)
        put(snapshot, object, name, make_text(text));
}

static void put_number(struct snapshot *snapshot, json_t *object, const char *name, int64_t number)
{
    put(snapshot, object, name, json_integer(number));
}

/* A time of CLOCK_MONOTONIC, as the time of day and as how long ago. */
static void put_time(struct snapshot *snapshot, json_t *object, const char *name, int64_t since_us)
{
    int64_t age_ms = since_us < snapshot->now_us ? (snapshot->now_us - since_us) / 1000 : 0;

    put_text(snapshot, object, name, time_format_ms(&snapshot->clock, time_unix_ms() - age_ms));
    put_number(snapshot, object, "for_ms", age_ms);
}

/* ---- Jobs ---- */

/* Begins what is told of a job, with what its record has; NULL: it is not asked about, or there is no room. */
static struct snapshot_job *add_job(struct snapshot *snapshot, const void *identity, const struct job *record,
                                    const char *state)
{
    const struct snapshot_question *question = snapshot->question;

    if (strcmp(record->queue, question->queue) != 0 || (question->id && strcmp(record->id, question->id) != 0))
        return NULL;
    if (snapshot->count == JOBS_MAX) {
        snapshot->left_out++;
        return NULL;
    }
    struct snapshot_job *entry = &snapshot->jobs[snapshot->count];
    *entry = (struct snapshot_job){.identity = identity, .object = json_object(), .operations = json_array()};
    snapshot->by_identity[snapshot->count++] = entry;
    put_text(snapshot, entry->object, "id", record->id);
    put_text(snapshot, entry->object, "type", record->type);
    put_text(snapshot, entry->object, "queue", record->queue);
    put_text(snapshot, entry->object, "state", state);
    put_number(snapshot, entry->object, "attempt", record->attempt);
    return entry;
}

/* One that is just being freed, by another thread, has no context any more. */
static int visit_job(const struct weft_job *job, void *arg)
{
    struct snapshot *snapshot = arg;
    bool has_context = seed_count_frames(job->seed) > 0;
    struct snapshot_job *entry =
        has_context ? add_job(snapshot, job, job->record, job->reported ? "outlived" : "running") : NULL;

    if (!entry)
        return 0;
    if (job->started_us > 0)
        put_time(snapshot, entry->object, "started_at", job->started_us);
    put_number(snapshot, entry->object, "contexts", seed_count_frames(job->seed));
    put(snapshot, entry->object, "operations", entry->operations);
    return 0;
}

/* What it awaits is told as an operation is. */
static void visit_waiting(struct snapshot *snapshot, const struct waiting_job *job)
{
    struct snapshot_job *entry = add_job(snapshot, job, job->record, "waiting");

    if (!entry)
        return;
    json_t *operation = json_object();
    put_number(snapshot, entry->object, "for_ms", (snapshot->now_us - job->since_us) / 1000);
    put_number(snapshot, entry->object, "contexts", 0);
    put_number(snapshot, operation, "id", 0);
    put_number(snapshot, operation, "trigger", 0);
    put_text(snapshot, operation, "kind", "turn");
    put_text(snapshot, operation, "what", "its turn: as many jobs as may run already do");
    put_time(snapshot, operation, "since", job->since_us);
    if (json_array_append_new(entry->operations, operation) < 0)
        snapshot->failed = true;
    put(snapshot, entry->object, "operations", entry->operations);
}

static int compare_identities(const void *one, const void *other)
{
    uintptr_t left = (uintptr_t)(*(struct snapshot_job *const *)one)->identity;
    uintptr_t right = (uintptr_t)(*(struct snapshot_job *const *)other)->identity;

    return (left > right) - (left < right);
}

/* ---- Operations ---- */

static const char *find_value(const struct weft_context *context, const char *name)
{
    struct frame_key key = frame_key(name);
    struct frame_found found;

    return frame_find(context, &key, &found) ? found.text : NULL;
}

static void describe_operation(struct snapshot *snapshot, json_t *object, const struct operation *operation)
{
    const struct weft_operation *info = &operation->info;
    char words[OPERATION_DESCRIPTION_SIZE], place[CODE_ADDRESS_SIZE], stack[STACK_SIZE];

    operation_describe(operation, words);
    put_number(snapshot, object, "id", (int64_t)info->id);
    put_number(snapshot, object, "trigger", (int64_t)info->trigger);
    put_text(snapshot, object, "kind", info->kind);
    put_text(snapshot, object, "what", words);
    put_time(snapshot, object, "since", operation_since_us(operation));
    if (info->place) {
        code_address_describe(info->place, place);
        put_text(snapshot, object, "at", place);
    }
    put_text(snapshot, object, "task", find_value(info->context, JOB_VALUE_TASK));
    put_text(snapshot, object, "handler", find_value(info->context, JOB_VALUE_HANDLER));
    if (snapshot->question->id) {
        (void)operation_stack(operation, stack, sizeof(stack));
        put_text(snapshot, object, "stack", stack);
    }
}

static struct snapshot_job *find_job_of(struct snapshot *snapshot, const struct operation *operation)
{
    const struct weft_job *job = frame_owner(operation->info.context);

    struct snapshot_job wanted = {.identity = job}, *key = &wanted;

    if (!job)
        return NULL;
    struct snapshot_job **found =
        bsearch(&key, snapshot->by_identity, snapshot->count, sizeof(key), compare_identities);

    return found ? *found : NULL;
}

static int count_operation(const struct operation *operation, void *arg)
{
    struct snapshot_job *entry = find_job_of(arg, operation);

    if (entry)
        entry->pending++;
    return 0;
}

/* They come with the newest first. Of many, the oldest are what something hangs on. */
static int visit_operation(const struct operation *operation, void *arg)
{
    struct snapshot *snapshot = arg;
    struct snapshot_job *entry = find_job_of(snapshot, operation);

    if (!entry || ++entry->seen <= entry->pending - OPERATIONS_MAX)
        return 0;
    json_t *object = json_object();
    describe_operation(snapshot, object, operation);
    if (json_array_append_new(entry->operations, object) < 0)
        snapshot->failed = true;
    return 0;
}

/* ---- The answer ---- */

static int64_t write_jobs(struct snapshot *snapshot, FILE *stream)
{
    size_t used = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        struct snapshot_job *entry = &snapshot->jobs[i];

        put_number(snapshot, entry->object, "operations_left_out",
                   entry->pending > OPERATIONS_MAX ? entry->pending - OPERATIONS_MAX : 0);
        char *text = json_dumps(entry->object, JSON_COMPACT);
        size_t size = text ? strlen(text) : 0;
        if (!text || used + size > ANSWER_MAX) {
            free(text);
            return (int64_t)(snapshot->count - i);
        }
        (void)fprintf(stream, "%s%s", i > 0 ? "," : "", text);
        used += size;
        free(text);
    }
    return 0;
}

static char *write_answer(struct snapshot *snapshot, size_t *ret_size)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, ret_size);

    if (!stream)
        return NULL;
    json_t *node = make_text(snapshot->question->node);
    char *quoted = node ? json_dumps(node, JSON_ENCODE_ANY) : NULL;

    (void)fprintf(stream, "{\"node\":%s,\"pid\":%d,\"jobs\":[", quoted ? quoted : "\"\"", (int)getpid());
    free(quoted);
    json_decref(node);
    int64_t left_out = snapshot->left_out + write_jobs(snapshot, stream);
    (void)fprintf(stream, "],\"left_out\":%lld}", (long long)left_out);
    if (fclose(stream) != 0 || snapshot->failed) {
        free(text);
        return NULL;
    }
    return text;
}

char *snapshot_take(struct active_jobs *active_jobs, const struct snapshot_question *question, size_t *ret_size)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return NULL;
    snapshot->question = question;
    snapshot->now_us = time_steady_us();
    (void)active_jobs_each(active_jobs, visit_job, snapshot);
    for (const struct waiting_job *job = question->waiting ? question->waiting->first : NULL; job; job = job->next)
        visit_waiting(snapshot, job);
    qsort(snapshot->by_identity, snapshot->count, sizeof(snapshot->by_identity[0]), compare_identities);
    (void)operation_each(count_operation, snapshot);
    (void)operation_each(visit_operation, snapshot);
    char *text = write_answer(snapshot, ret_size);
    for (size_t i = 0; i < snapshot->count; i++)
        json_decref(snapshot->jobs[i].object);
    free(snapshot);
    return text;
}
