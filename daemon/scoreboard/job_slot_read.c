/* What is read was written by a process that may have written anything. */
#include "daemon/scoreboard/job_slot_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/job_frame.h"
#include "context/name.h"
#include "context/time.h"
#include "handlers/attempt.h"
#include "queue/entry.h"

/* Walks through a job slot's text. */
struct reader {
    const char *text;
    size_t used;
    size_t at;
};

/* A job slot, taken apart. Everything points into the text it was read from. */
struct parts {
    const char *names[JOB_SLOT_NAMES];
    struct job_field metadata[JOB_METADATA_MAX];
    size_t metadata_count;
};

/* ---- What names may be ---- */

static bool is_entry(const char *text, size_t size)
{
    struct entry_id id;

    (void)size;
    return entry_id_parse(text, &id) == 0;
}

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") == size;
}

static bool is_trace(const char *text, size_t size)
{
    return size == 0 || (size == 32 && is_hex(text, size));
}

static bool is_span(const char *text, size_t size)
{
    return size == 0 || (size == ATTEMPT_SPAN_ID_SIZE - 1 && is_hex(text, size));
}

/* What each name may be. */
static bool (*const is_valid[JOB_SLOT_NAMES])(const char *text, size_t size) = {
    [JOB_SLOT_NAME_ID] = name_is_job_id,   [JOB_SLOT_NAME_TYPE] = name_is_valid, [JOB_SLOT_NAME_QUEUE] = name_is_valid,
    [JOB_SLOT_NAME_ROOT] = name_is_job_id, [JOB_SLOT_NAME_TRACE] = is_trace,     [JOB_SLOT_NAME_SPAN] = is_span,
    [JOB_SLOT_NAME_ENTRY] = is_entry,
};

/* ---- Taking a job slot apart ---- */

/* `size` bytes and their NUL, or NULL where they cannot be. */
static const char *read_bytes(struct reader *reader, size_t size)
{
    const char *bytes = reader->text + reader->at;

    if (size >= reader->used - reader->at || bytes[size] != '\0')
        return NULL;
    reader->at += size + 1;
    return bytes;
}

static int read_metadata(struct reader *reader, struct job_field *ret_field)
{
    struct job_slot_field sizes;

    if (reader->used - reader->at < sizeof(sizes))
        return -EBADMSG;
    memcpy(&sizes, reader->text + reader->at, sizeof(sizes));
    reader->at += sizeof(sizes);

    const char *name = read_bytes(reader, sizes.name_size);
    const char *value = name ? read_bytes(reader, sizes.size) : NULL;
    if (!value || strlen(name) != sizes.name_size || !name_is_valid(name, sizes.name_size))
        return -EBADMSG;
    *ret_field = (struct job_field){.name = name, .value = value, .size = sizes.size};
    return 0;
}

static bool is_time(int64_t unix_ms)
{
    return unix_ms >= 0 && unix_ms <= TIME_UNIX_MAX_MS;
}

/* `job_slot` is a copy of the caller's, which does not change any more. */
static int take_apart(const struct job_slot *job_slot, struct parts *ret_parts)
{
    struct reader reader = {.text = job_slot->text, .used = job_slot->used};
    int r = 0;

    if (job_slot->used > sizeof(job_slot->text) || job_slot->attempt == 0 || job_slot->attempts == 0 ||
        !is_time(job_slot->enqueued_ms) || !is_time(job_slot->started_ms) || job_slot->deadline_us < 0)
        return -EBADMSG;
    ret_parts->metadata_count = 0;
    for (enum job_slot_name name = 0; name < JOB_SLOT_NAMES; name++) {
        size_t size = job_slot->sizes[name];
        const char *text = read_bytes(&reader, size);

        if (!text || strlen(text) != size || !is_valid[name](text, size))
            return -EBADMSG;
        ret_parts->names[name] = text;
    }
    while (r == 0 && reader.at < reader.used) {
        r = ret_parts->metadata_count < JOB_METADATA_MAX ? 0 : -EBADMSG;
        if (r == 0)
            r = read_metadata(&reader, &ret_parts->metadata[ret_parts->metadata_count++]);
    }
    return r;
}

/* ---- Jobs ---- */

int job_slot_read_job(const struct job_slot *job_slot, struct job_slot_job *ret_job)
{
    struct job_slot copy = *job_slot;
    struct parts parts;
    int r = take_apart(&copy, &parts);

    if (r < 0)
        return r;
    memcpy(ret_job->text, copy.text, copy.used);
    for (enum job_slot_name name = 0; name < JOB_SLOT_NAMES; name++)
        parts.names[name] = ret_job->text + (parts.names[name] - copy.text);
    ret_job->started_ms = copy.started_ms;
    ret_job->deadline_us = copy.deadline_us;
    ret_job->job = (struct job){
        .id = parts.names[JOB_SLOT_NAME_ID],
        .type = parts.names[JOB_SLOT_NAME_TYPE],
        .queue = parts.names[JOB_SLOT_NAME_QUEUE],
        .entry = parts.names[JOB_SLOT_NAME_ENTRY],
        .root = parts.names[JOB_SLOT_NAME_ROOT],
        .trace_id = parts.names[JOB_SLOT_NAME_TRACE][0] ? parts.names[JOB_SLOT_NAME_TRACE] : NULL,
        .payload = "",
        .attempt = copy.attempt,
        .attempts = copy.attempts,
        .enqueued_ms = copy.enqueued_ms,
    };
    return 0;
}

/* ---- Contexts ---- */

/* What a rebuilt context points into; freed with its last frame. */
struct holder {
    struct job_slot job_slot;
    char attempt[12];
    char words[];
};

static int make_frame(struct holder *holder, const struct parts *parts, struct weft_context **ret_context)
{
    const char *handler = holder->words;

    return job_frame_new(
        &(struct job_values){
            .id = parts->names[JOB_SLOT_NAME_ID],
            .type = parts->names[JOB_SLOT_NAME_TYPE],
            .queue = parts->names[JOB_SLOT_NAME_QUEUE],
            .attempt = holder->attempt,
            .root_id = parts->names[JOB_SLOT_NAME_ROOT],
            .trace_id = parts->names[JOB_SLOT_NAME_TRACE],
            .span_id = parts->names[JOB_SLOT_NAME_SPAN],
            .handler = handler,
            .task = handler + strlen(handler) + 1,
            .metadata = parts->metadata,
            .metadata_count = parts->metadata_count,
        },
        holder, free, ret_context);
}

int job_slot_read_context(const struct job_slot *job_slot, const char *handler, const char *task,
                          struct weft_context **ret_context)
{
    size_t handler_size = handler ? strlen(handler) + 1 : 1, task_size = task ? strlen(task) + 1 : 1;
    struct holder *holder = malloc(sizeof(*holder) + handler_size + task_size);
    struct parts parts;

    if (!holder)
        return -ENOMEM;
    holder->job_slot = *job_slot;
    (void)snprintf(holder->attempt, sizeof(holder->attempt), "%" PRIu32, holder->job_slot.attempt);
    memcpy(holder->words, handler ? handler : "", handler_size);
    memcpy(holder->words + handler_size, task ? task : "", task_size);
    int r = take_apart(&holder->job_slot, &parts);
    if (r == 0)
        r = make_frame(holder, &parts, ret_context);
    if (r < 0)
        free(holder);
    return r;
}
