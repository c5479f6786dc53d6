#include "queue/message/message.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/name.h"
#include "context/time.h"
#include "queue/message/instruction.h"
#include "queue/message/traceparent.h"
#include "queue/message/units.h"

#define PIECES_MAX     16
#define METADATA_SLOTS 128 /* a power of two, at least twice JOB_METADATA_MAX */

/* Which of the fields are metadata, each name once, in the order of their first appearance. Everything is borrowed. */
struct metadata {
    const struct message_field *fields[JOB_METADATA_MAX]; /* the last of each name */
    size_t count;
    uint8_t slots[METADATA_SLOTS]; /* a hash table of indices into `fields`, plus one; 0: free */
    const struct message_field *bad_name;
    bool too_many;
};

/* A string on its way into the record's block. */
struct piece {
    const char **target; /* in the draft's job */
    const char *bytes;
    size_t size;
};

/* A message while it is read. Nothing is copied before everything has been checked and measured. */
struct draft {
    const char *queue;
    const char *entry_id;
    struct instructions instructions;
    struct metadata metadata;
    struct job job;
    struct piece pieces[PIECES_MAX];
    size_t piece_count;
    size_t strings_size; /* of all strings of the record, with their NULs */
};

/* ---- Metadata ---- */

/* Where to look for a name first. Poor on purpose: a message has few names, and even if all of them met in one slot,
 * finding one would cost at most JOB_METADATA_MAX comparisons. */
static unsigned slot_of(const struct message_field *field)
{
    const unsigned char *name = (const unsigned char *)field->name;
    size_t size = field->name_size;

    return (unsigned)(size + name[0] * 7u + name[size / 2] * 31u + name[size - 1] * 17u);
}

/* Takes a field that is not an instruction. Those of weft's own (`weft.*`) are passed over. */
static void add_metadata(struct metadata *metadata, const struct message_field *field)
{
    unsigned slot;

    if (metadata->bad_name || metadata->too_many)
        return;
    if (!name_is_valid(field->name, field->name_size)) {
        metadata->bad_name = field;
        return;
    }
    if (name_is_own(field->name, field->name_size))
        return;

    for (slot = slot_of(field) % METADATA_SLOTS; metadata->slots[slot]; slot = (slot + 1) % METADATA_SLOTS) {
        const struct message_field **known = &metadata->fields[metadata->slots[slot] - 1];

        if ((*known)->name_size == field->name_size && memcmp((*known)->name, field->name, field->name_size) == 0) {
            *known = field;
            return;
        }
    }
    if (metadata->count == JOB_METADATA_MAX) {
        metadata->too_many = true;
        return;
    }
    metadata->fields[metadata->count++] = field;
    metadata->slots[slot] = (uint8_t)metadata->count;
}

static int check_metadata(const struct metadata *metadata, struct message_rejection *rejection)
{
    size_t bytes = 0;

    for (size_t i = 0; i < metadata->count; i++)
        bytes += metadata->fields[i]->name_size + metadata->fields[i]->value_size;

    if (metadata->bad_name) {
        struct rejection_quote quote = rejection_quote(metadata->bad_name->name, metadata->bad_name->name_size);

        rejection_write_reason(rejection, "the field name %s is not " NAME_ALPHABET, quote.text);
        return -EBADMSG;
    }
    if (metadata->too_many) {
        rejection_write_reason(rejection,
                               "the message has more than %d metadata fields; send at most %d, and the rest as payload",
                               JOB_METADATA_MAX, JOB_METADATA_MAX);
        return -EBADMSG;
    }
    if (bytes > JOB_METADATA_BYTES) {
        rejection_write_reason(rejection,
                               "the metadata takes %zu bytes, names and values together; send at most %d, and the rest "
                               "as payload",
                               bytes, JOB_METADATA_BYTES);
        return -EBADMSG;
    }
    return 0;
}

/* ---- Reading ---- */

static void classify_fields(struct draft *draft, const struct message_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum instruction instruction = instruction_find(fields[i].name, fields[i].name_size);

        if (instruction != INSTRUCTION_NONE)
            draft->instructions.given[instruction] = &fields[i];
        else
            add_metadata(&draft->metadata, &fields[i]);
    }
}

/* For names that have been found valid, and so fit. */
static void copy_name(char *target, const struct message_field *field)
{
    assert(field->value_size <= NAME_SIZE_MAX);
    memcpy(target, field->value, field->value_size);
    target[field->value_size] = '\0';
}

static int check_type(const struct draft *draft, const struct message_limits *limits,
                      struct message_rejection *rejection)
{
    const struct message_field *field = draft->instructions.given[INSTRUCTION_TYPE];
    char type[NAME_SIZE_MAX + 1];

    if (!field) {
        rejection_write_reason(rejection, "the message has no type; add a field \"type\" that names a job type");
        return -EBADMSG;
    }
    copy_name(type, field);
    if (limits->type_known && !limits->type_known(type, limits->user)) {
        struct rejection_quote quote = rejection_quote(type, field->value_size);

        rejection_write_reason(rejection, "type %s is not configured; add it under jobs: or correct the message",
                               quote.text);
        return -EBADMSG;
    }
    return 0;
}

static int check_combinations(const struct draft *draft, struct message_rejection *rejection)
{
    const struct message_field *const *given = draft->instructions.given;

    if (given[INSTRUCTION_DELAY] && given[INSTRUCTION_AT]) {
        rejection_write_reason(rejection, "the message has both delay and at; send only one of them");
        return -EBADMSG;
    }
    if (given[INSTRUCTION_UNIQUE_FOR] && !given[INSTRUCTION_UNIQUE]) {
        rejection_write_reason(rejection,
                               "the message has unique_for but no unique; add unique or leave unique_for out");
        return -EBADMSG;
    }
    return 0;
}

static int check_payload(const struct draft *draft, const struct message_limits *limits,
                         struct message_rejection *rejection)
{
    const struct message_field *payload = draft->instructions.given[INSTRUCTION_PAYLOAD];

    if (!payload || payload->value_size <= (uint64_t)limits->payload_max)
        return 0;
    rejection_write_reason(rejection, "the payload takes %zu bytes; send at most %" PRId64 " or raise limits.payload",
                           payload->value_size, limits->payload_max);
    return -EBADMSG;
}

static int check(struct draft *draft, const struct message_limits *limits, struct message_rejection *rejection)
{
    int r = instructions_read(&draft->instructions, rejection);

    if (r == 0)
        r = check_type(draft, limits, rejection);
    if (r == 0)
        r = check_combinations(draft, rejection);
    if (r == 0)
        r = check_metadata(&draft->metadata, rejection);
    if (r == 0)
        r = check_payload(draft, limits, rejection);
    return r;
}

/* ---- What a rejection is about ---- */

static void write_identity(const struct draft *draft, struct message_rejection *rejection)
{
    const struct message_field *own = draft->instructions.given[INSTRUCTION_WEFT_ID];
    const struct message_field *id = draft->instructions.given[INSTRUCTION_ID];
    const struct message_field *type = draft->instructions.given[INSTRUCTION_TYPE];

    if (own && name_is_job_id(own->value, own->value_size))
        copy_name(rejection->id, own);
    else if (id && name_is_job_id(id->value, id->value_size))
        copy_name(rejection->id, id);
    else
        snprintf(rejection->id, sizeof(rejection->id), "%s", draft->entry_id);

    rejection->type[0] = '\0';
    if (type && name_is_valid(type->value, type->value_size))
        copy_name(rejection->type, type);
}

/* ---- Making the record ---- */

static void add_piece(struct draft *draft, const char **target, const char *bytes, size_t size)
{
    assert(draft->piece_count < PIECES_MAX);
    draft->pieces[draft->piece_count++] = (struct piece){target, bytes, size};
    draft->strings_size += size + 1;
}

static void add_given(struct draft *draft, const char **target, enum instruction instruction)
{
    const struct message_field *field = draft->instructions.given[instruction];

    if (field)
        add_piece(draft, target, field->value, field->value_size);
}

static void add_strings(struct draft *draft)
{
    const struct message_field *payload = draft->instructions.given[INSTRUCTION_PAYLOAD];
    const struct metadata *metadata = &draft->metadata;
    struct job *job = &draft->job;

    add_piece(draft, &job->queue, draft->queue, strlen(draft->queue));
    add_piece(draft, &job->entry, draft->entry_id, strlen(draft->entry_id));
    if (draft->instructions.given[INSTRUCTION_WEFT_ID])
        add_given(draft, &job->id, INSTRUCTION_WEFT_ID);
    else
        add_given(draft, &job->id, INSTRUCTION_ID);
    add_given(draft, &job->type, INSTRUCTION_TYPE);
    add_given(draft, &job->root, INSTRUCTION_ROOT);
    add_given(draft, &job->parent, INSTRUCTION_PARENT);
    add_given(draft, &job->unique, INSTRUCTION_UNIQUE);
    add_given(draft, &job->duplicate_of, INSTRUCTION_WEFT_DUPLICATE_OF);
    job->payload = "";
    job->payload_size = payload ? payload->value_size : 0;
    add_given(draft, &job->payload, INSTRUCTION_PAYLOAD);
    for (size_t i = 0; i < metadata->count; i++)
        draft->strings_size += metadata->fields[i]->name_size + 1 + metadata->fields[i]->value_size + 1;
}

/* A bad traceparent is ignored, and so is a tracestate without a good one. */
static void add_trace(struct draft *draft)
{
    const struct message_field *parent = draft->instructions.given[INSTRUCTION_TRACEPARENT];
    const struct message_field *state = draft->instructions.given[INSTRUCTION_TRACESTATE];
    struct traceparent trace;

    if (!parent)
        return;
    if (traceparent_parse(parent->value, parent->value_size, &trace) < 0) {
        draft->job.bad_traceparent = 1;
        return;
    }
    add_piece(draft, &draft->job.trace_id, trace.trace_id, TRACEPARENT_TRACE_ID_SIZE);
    add_piece(draft, &draft->job.parent_span_id, trace.span_id, TRACEPARENT_SPAN_ID_SIZE);
    add_piece(draft, &draft->job.trace_flags, trace.flags, TRACEPARENT_FLAGS_SIZE);
    if (state && tracestate_is_valid(state->value, state->value_size))
        add_piece(draft, &draft->job.tracestate, state->value, state->value_size);
}

/* The first half of an entry's ID is Redis's clock. */
static int64_t entry_time(const char *entry_id, int64_t now_ms)
{
    int64_t time_ms;

    if (units_parse_integer(entry_id, strcspn(entry_id, "-"), 0, TIME_UNIX_MAX_MS, &time_ms) < 0)
        return now_ms;
    return time_ms;
}

static void set_numbers(struct draft *draft, int64_t now_ms)
{
    const struct instructions *instructions = &draft->instructions;
    struct job *job = &draft->job;

    job->attempt = (unsigned)instructions->numbers[INSTRUCTION_WEFT_ATTEMPT] + 1;
    job->attempts = (unsigned)instructions->numbers[INSTRUCTION_ATTEMPTS];
    job->timeout_ms = instructions->numbers[INSTRUCTION_TIMEOUT];
    job->unique_for_ms = instructions->numbers[INSTRUCTION_UNIQUE_FOR];
    job->unique_held = instructions->given[INSTRUCTION_WEFT_UNIQUE] != NULL;
    if (instructions->given[INSTRUCTION_WEFT_ENQUEUED_AT])
        job->enqueued_ms = instructions->numbers[INSTRUCTION_WEFT_ENQUEUED_AT];
    else
        job->enqueued_ms = entry_time(draft->entry_id, now_ms);

    if (instructions->given[INSTRUCTION_AT])
        job->due_ms = instructions->numbers[INSTRUCTION_AT];
    else if (instructions->given[INSTRUCTION_DELAY])
        job->due_ms = job->enqueued_ms + instructions->numbers[INSTRUCTION_DELAY];
    if (job->due_ms <= now_ms)
        job->due_ms = 0;
}

/* Copies `size` bytes and a NUL to `*cursor` and moves it behind them. */
static const char *copy_bytes(char **cursor, const char *bytes, size_t size)
{
    char *copy = *cursor;

    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    *cursor = copy + size + 1;
    return copy;
}

static void copy_metadata(const struct metadata *metadata, struct job_field *fields, char **cursor)
{
    for (size_t i = 0; i < metadata->count; i++) {
        const struct message_field *field = metadata->fields[i];

        fields[i].name = copy_bytes(cursor, field->name, field->name_size);
        fields[i].value = copy_bytes(cursor, field->value, field->value_size);
        fields[i].size = field->value_size;
    }
}

/* Lays the record, its metadata and all strings into one block. */
static int make_job(struct draft *draft, struct job **ret_job)
{
    size_t metadata_count = draft->metadata.count;
    struct job *job = malloc(sizeof(*job) + metadata_count * sizeof(struct job_field) + draft->strings_size);

    if (!job)
        return -ENOMEM;
    struct job_field *fields = (struct job_field *)(job + 1);
    char *cursor = (char *)(fields + metadata_count);
    copy_metadata(&draft->metadata, fields, &cursor);
    for (size_t i = 0; i < draft->piece_count; i++)
        *draft->pieces[i].target = copy_bytes(&cursor, draft->pieces[i].bytes, draft->pieces[i].size);

    *job = draft->job;
    job->id = job->id ? job->id : job->entry;
    job->root = job->root ? job->root : job->id;
    job->metadata = fields;
    job->metadata_count = metadata_count;
    assert(cursor == (char *)(fields + metadata_count) + draft->strings_size);
    *ret_job = job;
    return 0;
}

int message_parse(const char *queue, const char *entry_id, const struct message_field *fields, size_t count,
                  int64_t now_ms, const struct message_limits *limits, struct job **ret_job,
                  struct message_rejection *ret_rejection)
{
    assert(queue[0] && limits->payload_max >= 0);
    struct draft draft;

    draft.queue = queue;
    draft.entry_id = entry_id;
    draft.piece_count = 0;
    draft.strings_size = 0;
    memset(&draft.instructions, 0, sizeof(draft.instructions));
    memset(&draft.job, 0, sizeof(draft.job));
    draft.metadata.count = 0;
    draft.metadata.bad_name = NULL;
    draft.metadata.too_many = false;
    memset(draft.metadata.slots, 0, sizeof(draft.metadata.slots));

    classify_fields(&draft, fields, count);
    int r = check(&draft, limits, ret_rejection);
    if (r < 0) {
        write_identity(&draft, ret_rejection);
        return r;
    }
    add_strings(&draft);
    add_trace(&draft);
    set_numbers(&draft, now_ms);
    return make_job(&draft, ret_job);
}
