/*
 * Messages: whatever Redis gives becomes a job or a rejection. A slow model, which knows nothing of the parser's
 * tables, says which of the two it has to be, and what the job holds.
 *
 * The first line of an input is the entry's ID (of a form that Redis gives, or ENTRY_ID is taken); the fields follow,
 * as tests/fuzz/fields.h has them.
 */
#include <errno.h>

#include <sanitizer/allocator_interface.h>

#include "context/job.h"
#include "queue/message/message.h"
#include "queue/message/traceparent.h"
#include "tests/fuzz/fields.h"
#include "tests/fuzz/message_model.h"
#include "tests/fuzz/support.h"

#define ENTRY_ID "1763922000123-7"
#define NOW_MS   INT64_C(1763922000500)

/* ---- Jobs ---- */

/* That a string of the record is what the field holds, stands in the record's block and ends there. */
static void check_bytes(const struct job *job, const char *what, const char *text, const char *bytes, size_t size)
{
    const char *begin = (const char *)job, *end = begin + __sanitizer_get_allocated_size(job);

    REQUIRE(text, "the job has no %s", what);
    REQUIRE(text >= begin && text < end && size < (size_t)(end - text), "the %s is not in the block", what);
    REQUIRE(size == 0 || memcmp(text, bytes, size) == 0, "the %s is another: %s", what, text);
    REQUIRE(text[size] == '\0', "the %s does not end", what);
}

static void check_field(const struct job *job, const char *what, const char *text, const struct message_field *field)
{
    if (field)
        check_bytes(job, what, text, field->value, field->value_size);
    else
        REQUIRE(!text, "the job has a %s that nobody gave", what);
}

static void check_identity(const struct job *job, const struct message *message)
{
    const struct message_field own = {.value = message->entry_id, .value_size = strlen(message->entry_id)};
    const struct message_field *id = last_of(message, "weft.id");
    const struct message_field *root = last_of(message, "root");

    id = id ? id : last_of(message, "id");
    id = id ? id : &own;
    check_field(job, "entry", job->entry, &own);
    check_field(job, "id", job->id, id);
    check_field(job, "root", job->root, root ? root : id);
    check_field(job, "parent", job->parent, last_of(message, "parent"));
    check_field(job, "type", job->type, last_of(message, "type"));
    check_field(job, "unique", job->unique, last_of(message, "unique"));
    check_field(job, "weft.duplicate_of", job->duplicate_of, last_of(message, "weft.duplicate_of"));
    REQUIRE(job->unique_held == (last_of(message, "weft.unique") != NULL), "whether it has its unique key is another");
    check_bytes(job, "queue", job->queue, "default", strlen("default"));
}

static void check_payload(const struct job *job, const struct message *message)
{
    const struct message_field *payload = last_of(message, "payload");

    REQUIRE(job->payload_size == (payload ? payload->value_size : 0), "the payload has another size");
    if (payload)
        check_field(job, "payload", job->payload, payload);
    else
        REQUIRE(job->payload && job->payload[0] == '\0', "no payload is not an empty one");
}

static void check_metadata(const struct job *job, const struct message *message)
{
    size_t count = 0;

    for (size_t i = 0; i < message->count; i++) {
        const struct message_field *field = &message->fields[i], *last = last_like(message, i);

        if (!is_metadata(field) || !is_first(message, i))
            continue;
        REQUIRE(count < job->metadata_count, "metadata is missing");
        check_bytes(job, "name", job->metadata[count].name, field->name, field->name_size);
        check_bytes(job, "value", job->metadata[count].value, last->value, last->value_size);
        REQUIRE(job->metadata[count].size == last->value_size, "metadata has another size");
        count++;
    }
    REQUIRE(count == job->metadata_count, "%zu metadata fields instead of %zu", job->metadata_count, count);
}

static void check_trace(const struct job *job, const struct message *message)
{
    const struct message_field *parent = last_of(message, "traceparent"), *state = last_of(message, "tracestate");
    struct traceparent trace;
    bool good = parent && traceparent_parse(parent->value, parent->value_size, &trace) == 0;

    REQUIRE(!job->bad_traceparent == (!parent || good), "bad_traceparent is wrong");
    if (!good) {
        REQUIRE(!job->trace_id && !job->parent_span_id && !job->trace_flags && !job->tracestate, "a bad trace is kept");
        return;
    }
    check_bytes(job, "trace", job->trace_id, trace.trace_id, TRACEPARENT_TRACE_ID_SIZE);
    check_bytes(job, "span", job->parent_span_id, trace.span_id, TRACEPARENT_SPAN_ID_SIZE);
    check_bytes(job, "flags", job->trace_flags, trace.flags, TRACEPARENT_FLAGS_SIZE);
    check_field(job, "tracestate", job->tracestate,
                state && tracestate_is_valid(state->value, state->value_size) ? state : NULL);
}

static void check_numbers(const struct job *job, const struct message *message)
{
    unsigned long long entry_ms = strtoull(message->entry_id, NULL, 10);
    int64_t enqueued = number_of(message, "weft.enqueued_at", entry_ms < YEAR_10000 ? (int64_t)entry_ms : NOW_MS);
    int64_t due = number_of(message, "at", 0);

    if (last_of(message, "delay"))
        due = enqueued + number_of(message, "delay", 0);
    REQUIRE(job->enqueued_ms == enqueued, "the time of enqueueing is another");
    REQUIRE(job->due_ms == (due > NOW_MS ? due : 0), "the due time is another");
    REQUIRE(job->attempt == 1 + number_of(message, "weft.attempt", 0), "the attempt is another");
    REQUIRE(job->attempts == number_of(message, "attempts", 0), "the attempts are others");
    REQUIRE(job->timeout_ms == number_of(message, "timeout", 0), "the time-out is another");
    REQUIRE(job->unique_for_ms == number_of(message, "unique_for", 0), "unique_for is another");
}

static void check_job(const struct job *job, const struct message *message)
{
    REQUIRE(!is_wrong(message), "a wrong message was accepted");
    check_identity(job, message);
    check_payload(job, message);
    check_metadata(job, message);
    check_trace(job, message);
    check_numbers(job, message);
}

/* ---- Rejections ---- */

static void check_rejection(const struct message_rejection *rejection, const struct message *message)
{
    size_t size = strnlen(rejection->reason, sizeof(rejection->reason));

    REQUIRE(is_wrong(message), "a right message was refused: %s", rejection->reason);
    REQUIRE(size > 0 && size < sizeof(rejection->reason) - 1, "the reason is empty or cut: %s", rejection->reason);
    for (size_t i = 0; i < size; i++)
        REQUIRE(rejection->reason[i] >= ' ' && rejection->reason[i] <= '~', "the reason is not printable");
    REQUIRE(is_made_of(JOB_ID_CHARACTERS, rejection->id, strnlen(rejection->id, sizeof(rejection->id))), "no job ID");
    REQUIRE(rejection->type[0] == '\0' ||
                is_made_of(NAME_CHARACTERS, rejection->type, strnlen(rejection->type, sizeof(rejection->type))),
            "no type: %s", rejection->type);
}

/* ---- Inputs ---- */

static bool knows_type(const char *type, void *user)
{
    (void)user;
    return strcmp(type, "nosuch") != 0;
}

/* Parses twice, into memory that is dirty in two ways: the same has to come out. */
static void parse(const struct message *message)
{
    const struct message_limits limits = {.payload_max = PAYLOAD_MAX, .type_known = knows_type};
    struct message_rejection rejections[2];
    struct job *jobs[2] = {NULL, NULL};
    int results[2];

    for (int i = 0; i < 2; i++) {
        memset(&rejections[i], i ? 0xff : 0x41, sizeof(rejections[i]));
        results[i] = message_parse("default", message->entry_id, message->fields, message->count, NOW_MS, &limits,
                                   &jobs[i], &rejections[i]);
        REQUIRE(results[i] == 0 || results[i] == -EBADMSG, "the result is %d", results[i]);
        REQUIRE((results[i] == 0) == (jobs[i] != NULL), "a result of %d and %s job", results[i], jobs[i] ? "a" : "no");
        if (jobs[i])
            check_job(jobs[i], message);
        else
            check_rejection(&rejections[i], message);
    }
    REQUIRE(results[0] == results[1], "two results: %d and %d", results[0], results[1]);
    REQUIRE(results[0] == 0 || (strcmp(rejections[0].reason, rejections[1].reason) == 0 &&
                                strcmp(rejections[0].id, rejections[1].id) == 0 &&
                                strcmp(rejections[0].type, rejections[1].type) == 0),
            "two refusals: %s and %s", rejections[0].reason, rejections[1].reason);
    job_free(jobs[0]);
    job_free(jobs[1]);
}

static bool is_entry_id(const char *text)
{
    unsigned long long ms, sequence;
    char written[64];

    if (sscanf(text, "%20llu-%20llu", &ms, &sequence) != 2)
        return false;
    snprintf(written, sizeof(written), "%llu-%llu", ms, sequence);
    return strcmp(written, text) == 0;
}

/* Nothing is NULL, which a field may be. */
static char *copy_part(const char *bytes, size_t size)
{
    return size > 0 ? fuzz_copy(bytes, size) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct fuzz_fields fields;
    static struct message_field copies[FUZZ_FIELDS_MAX];
    char *first;

    fuzz_fields_decode(&fields, bytes, size);
    if (fields.count == 0)
        return 0;
    first = fuzz_copy_text(fields.items[0].name, fields.items[0].name_size);
    for (size_t i = 1; i < fields.count; i++) {
        const struct fuzz_field *field = &fields.items[i];

        copies[i - 1] = (struct message_field){copy_part(field->name, field->name_size), field->name_size,
                                               copy_part(field->value, field->value_size), field->value_size};
    }
    parse(&(struct message){is_entry_id(first) ? first : ENTRY_ID, copies, fields.count - 1});
    for (size_t i = 0; i + 1 < fields.count; i++) {
        free((void *)(uintptr_t)copies[i].name);
        free((void *)(uintptr_t)copies[i].value);
    }
    free(first);
    return 0;
}
