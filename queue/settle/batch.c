#include "queue/settle/batch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)

/* Where a batch stood before a record, to go back there when it does not fit into memory. */
struct mark {
    size_t entries;
    size_t values;
    size_t others;
};

/* One of the other outcomes while it is written: a map, in which the report is a list of names and values. */
struct record {
    struct msgpack *msgpack;
    size_t begin;
    uint16_t pairs;
    size_t report_begin;
    uint32_t report_elements;
};

void batch_done(struct batch *batch)
{
    msgpack_done(&batch->entries);
    msgpack_done(&batch->values);
    msgpack_done(&batch->others);
}

bool batch_is_full(const struct batch *batch)
{
    /* The others cost Redis several times as much: 128 retries would hold it up for 10 ms. */
    return batch->done_count + 3 * batch->other_count >= BATCH_RECORDS_MAX ||
           batch->values.size + batch->others.size >= BATCH_BYTES_MAX || batch->copied >= BATCH_COPIED_MAX;
}

#define DONE_VALUES 7

static bool is_complete(const struct batch *batch)
{
    return !batch->entries.failed && !batch->values.failed && !batch->others.failed;
}

int batch_clear(struct batch *batch)
{
    msgpack_truncate(&batch->entries, 0);
    msgpack_truncate(&batch->values, 0);
    msgpack_truncate(&batch->others, 0);
    (void)msgpack_begin_array(&batch->entries);
    (void)msgpack_begin_array(&batch->values);
    (void)msgpack_begin_array(&batch->others);
    batch->done_count = 0;
    batch->other_count = 0;
    batch->copied = 0;
    batch->record_count = 0;
    return is_complete(batch) ? 0 : -ENOMEM;
}

/* The lists are complete but for their lengths. */
static void write_lengths(struct batch *batch)
{
    msgpack_end_array(&batch->entries, 0, batch->done_count);
    msgpack_end_array(&batch->values, 0, batch->done_count * DONE_VALUES);
    msgpack_end_array(&batch->others, 0, batch->other_count);
}

int batch_end(struct batch *batch)
{
    write_lengths(batch);
    return is_complete(batch) ? 0 : -ENOMEM;
}

struct batch_record *batch_find(struct batch *batch, long long number)
{
    bool done = number <= (long long)batch->done_count;
    long long place = done ? number : number - (long long)batch->done_count;

    for (size_t i = 0; i < batch->record_count; i++)
        if (batch->records[i].done == done && --place == 0)
            return &batch->records[i];
    return NULL;
}

size_t batch_count_outcomes(const struct batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->record_count; i++)
        count += batch->records[i].outcome;
    return count;
}

/* Where the records of a list are moved to, to close the gaps. */
struct shift {
    struct msgpack *msgpack;
    size_t from;
    size_t to;
};

static void shift_bytes(struct shift *shift, size_t size, bool kept)
{
    if (kept) {
        memmove(shift->msgpack->bytes + shift->to, shift->msgpack->bytes + shift->from, size);
        shift->to += size;
    }
    shift->from += size;
}

void batch_keep(struct batch *batch, const bool *kept)
{
    const size_t begin = MSGPACK_ARRAY_HEADER_SIZE;
    struct shift entries = {&batch->entries, begin, begin};
    struct shift values = {&batch->values, begin, begin};
    struct shift others = {&batch->others, begin, begin};
    size_t count = 0;

    assert(is_complete(batch));
    batch->done_count = 0;
    batch->other_count = 0;
    for (size_t i = 0; i < batch->record_count; i++) {
        struct batch_record record = batch->records[i];

        shift_bytes(record.done ? &entries : &others, record.size, kept[i]);
        shift_bytes(&values, record.values_size, kept[i]);
        if (!kept[i])
            continue;
        batch->records[count++] = record;
        batch->done_count += record.done;
        batch->other_count += !record.done;
    }
    batch->record_count = count;
    msgpack_truncate(&batch->entries, entries.to);
    msgpack_truncate(&batch->values, values.to);
    msgpack_truncate(&batch->others, others.to);
    write_lengths(batch);
}

static struct mark mark_batch(const struct batch *batch)
{
    return (struct mark){batch->entries.size, batch->values.size, batch->others.size};
}

/* Counts the record, or takes it back. `entry` is NULL for a note, which settles nothing. */
static int finish_record(struct batch *batch, struct mark mark, const char *entry, uint32_t *count)
{
    struct batch_record record = {.done = count == &batch->done_count};

    if (!is_complete(batch)) {
        msgpack_truncate(&batch->entries, mark.entries);
        msgpack_truncate(&batch->values, mark.values);
        msgpack_truncate(&batch->others, mark.others);
        return -ENOMEM;
    }
    record.outcome = entry && entry_id_parse(entry, &record.id) == 0;
    record.size = record.done ? batch->entries.size - mark.entries : batch->others.size - mark.others;
    record.values_size = batch->values.size - mark.values;
    batch->records[batch->record_count++] = record;
    (*count)++;
    return 0;
}

/* ---- Maps ---- */

static void add_pair(struct record *record, const char *name, const char *value)
{
    msgpack_add_text(record->msgpack, name);
    msgpack_add_text(record->msgpack, value);
    record->pairs++;
}

static void add_number_pair(struct record *record, const char *name, int64_t value)
{
    msgpack_add_text(record->msgpack, name);
    msgpack_add_number(record->msgpack, value);
    record->pairs++;
}

static struct record begin_record(struct batch *batch, const char *what)
{
    struct record record = {.msgpack = &batch->others, .begin = msgpack_begin_map(&batch->others)};

    add_pair(&record, "what", what);
    return record;
}

static void begin_report(struct record *record)
{
    msgpack_add_text(record->msgpack, "report");
    record->report_begin = msgpack_begin_array(record->msgpack);
    record->pairs++;
}

static void add_field_bytes(struct record *record, const char *name, const char *value, size_t size)
{
    if (!value)
        return;
    msgpack_add_text(record->msgpack, name);
    msgpack_add(record->msgpack, value, size);
    record->report_elements += 2;
}

static void add_field(struct record *record, const char *name, const char *value)
{
    if (value)
        add_field_bytes(record, name, value, strlen(value));
}

static void add_number_field(struct record *record, const char *name, int64_t value)
{
    msgpack_add_text(record->msgpack, name);
    msgpack_add_number(record->msgpack, value);
    record->report_elements += 2;
}

/* A field that is left out where it would say nothing. */
static void add_count_field(struct record *record, const char *name, int64_t value)
{
    if (value > 0)
        add_number_field(record, name, value);
}

static void end_report(struct record *record)
{
    msgpack_end_array(record->msgpack, record->report_begin, record->report_elements);
}

static void end_record(struct record *record)
{
    msgpack_end_map(record->msgpack, record->begin, record->pairs);
}

/* ---- Settlements ---- */

/* Jobs that ran and have nothing to say but when and how fast: nearly all of them. */
static bool is_plain(const struct settlement *settlement)
{
    return settlement->outcome == JOB_DONE && settlement->started_ms > 0 && !settlement->error && !settlement->result &&
           !settlement->progress && settlement->subtasks == 0 && settlement->subtasks_failed == 0 &&
           !settlement->job->unique;
}

static int64_t finish_time(const struct settlement *settlement)
{
    return settlement->started_ms > 0 ? settlement->started_ms + settlement->duration_us / 1000 : time_unix_ms();
}

static void add_plain(struct batch *batch, struct batch_style *style, const struct settlement *settlement)
{
    const struct job *job = settlement->job;

    msgpack_add_text(&batch->entries, job->entry);
    msgpack_add_text(&batch->values, job->id);
    msgpack_add_text(&batch->values, job->type);
    msgpack_add_number(&batch->values, job->attempt);
    msgpack_add(&batch->values, time_format_ms(&style->enqueued, job->enqueued_ms), TIME_MS_LENGTH);
    msgpack_add(&batch->values, time_format_ms(&style->started, settlement->started_ms), TIME_MS_LENGTH);
    msgpack_add(&batch->values, time_format_ms(&style->finished, finish_time(settlement)), TIME_MS_LENGTH);
    msgpack_add_number(&batch->values, settlement->duration_us);
}

/* What settle.lua does, and what the report then says; a job that was returned has none. */
static const struct {
    const char *what;
    const char *state;
} outcomes[] = {
    [JOB_DONE] = {"done", "done"},
    [JOB_RETRY] = {"delayed", "retrying"},
    [JOB_DEAD] = {"dead", "dead"},
    [JOB_CANCELLED] = {"cancelled", "cancelled"},
    [JOB_DELAYED] = {"delayed", "delayed"},
    [JOB_RETURNED] = {"returned", NULL},
    [JOB_DUPLICATE] = {"duplicate", "duplicate"},
};

static void add_identity_fields(struct record *record, struct batch_style *style, const struct job *job,
                                const char *state)
{
    add_field(record, "state", state);
    add_field(record, "type", job->type);
    add_number_field(record, "attempt", job->attempt);
    add_field(record, "node", style->options->node);
    add_field(record, "enqueued_at", time_format_ms(&style->enqueued, job->enqueued_ms));
}

static void add_report(struct record *record, struct batch_style *style, const struct settlement *settlement)
{
    begin_report(record);
    add_identity_fields(record, style, settlement->job, outcomes[settlement->outcome].state);
    if (settlement->started_ms > 0)
        add_field(record, "started_at", time_format_ms(&style->started, settlement->started_ms));
    if (settlement->outcome != JOB_DELAYED)
        add_field(record, "finished_at", time_format_ms(&style->finished, finish_time(settlement)));
    if (settlement->started_ms > 0)
        add_number_field(record, "duration_us", settlement->duration_us);
    add_field_bytes(record, "result", settlement->result, settlement->result_size);
    add_field(record, "error", settlement->error);
    add_field(record, "duplicate_of", settlement->duplicate_of);
    add_field(record, "progress", settlement->progress);
    add_count_field(record, "subtasks", settlement->subtasks);
    add_count_field(record, "subtasks_failed", settlement->subtasks_failed);
    end_report(record);
}

/* The attempts that count against the job from now on. */
static int64_t charged_attempts(const struct settlement *settlement)
{
    bool ended = settlement->outcome == JOB_DEAD;
    bool charged = settlement->charged && settlement->outcome != JOB_DELAYED;

    return ended || charged ? settlement->job->attempt : (int64_t)settlement->job->attempt - 1;
}

static void add_other(struct batch *batch, struct batch_style *style, const struct settlement *settlement)
{
    const struct job *job = settlement->job;
    int64_t waiting_ms = settlement->due_ms - time_unix_ms();
    struct record record = begin_record(batch, outcomes[settlement->outcome].what);

    add_pair(&record, "entry", job->entry);
    add_pair(&record, "id", job->id);
    add_number_pair(&record, "attempt", charged_attempts(settlement));
    add_number_pair(&record, "enqueued_at", job->enqueued_ms);
    add_number_pair(&record, "due", settlement->due_ms);
    /* A report must outlive the waiting of its job. */
    add_number_pair(&record, "ttl", style->options->keep_failed_ms + (waiting_ms > 0 ? waiting_ms : 0));
    add_pair(&record, "failed_at", time_format_ms(&style->finished, finish_time(settlement)));
    add_pair(&record, "error", settlement->error ? settlement->error : "");
    add_number_pair(&record, "wait", waiting_ms);
    if (job->unique)
        add_pair(&record, "unique", job->unique);
    if (job->unique_held)
        add_pair(&record, "unique_held", "1");
    if (settlement->duplicate_of)
        add_pair(&record, "duplicate_of", settlement->duplicate_of);
    if (outcomes[settlement->outcome].state)
        add_report(&record, style, settlement);
    end_record(&record);
}

int batch_add_settlement(struct batch *batch, struct batch_style *style, const struct settlement *settlement)
{
    struct mark mark = mark_batch(batch);

    if (is_plain(settlement)) {
        add_plain(batch, style, settlement);
        return finish_record(batch, mark, settlement->job->entry, &batch->done_count);
    }
    add_other(batch, style, settlement);
    return finish_record(batch, mark, settlement->job->entry, &batch->other_count);
}

int batch_add_rejection(struct batch *batch, struct batch_style *style, const char *entry,
                        const struct message_rejection *rejection)
{
    struct mark mark = mark_batch(batch);
    struct record record = begin_record(batch, "dead");
    int64_t now_ms = time_unix_ms();

    add_pair(&record, "entry", entry);
    add_pair(&record, "id", rejection->id);
    add_pair(&record, "attempt", "0");
    add_pair(&record, "failed_at", time_format_ms(&style->finished, now_ms));
    add_pair(&record, "error", rejection->reason);
    begin_report(&record);
    add_field(&record, "state", "dead");
    add_field(&record, "type", rejection->type[0] ? rejection->type : NULL);
    add_field(&record, "attempt", "0");
    add_field(&record, "node", style->options->node);
    add_field(&record, "finished_at", time_format_ms(&style->finished, now_ms));
    add_field(&record, "error", rejection->reason);
    end_report(&record);
    end_record(&record);
    return finish_record(batch, mark, entry, &batch->other_count);
}

int batch_add_forgotten(struct batch *batch, const char *entry)
{
    struct mark mark = mark_batch(batch);
    struct record record = begin_record(batch, "forgotten");

    add_pair(&record, "entry", entry);
    add_pair(&record, "id", entry);
    end_record(&record);
    return finish_record(batch, mark, entry, &batch->other_count);
}

/* ---- Notes ---- */

int batch_add_running(struct batch *batch, struct batch_style *style, const struct job *job, int64_t started_ms,
                      const char *progress)
{
    struct mark mark = mark_batch(batch);
    struct record record = begin_record(batch, "running");
    int64_t keep_ms = style->options->keep_failed_ms;

    add_pair(&record, "entry", job->entry);
    add_pair(&record, "id", job->id);
    add_number_pair(&record, "ttl", keep_ms > DAY_MS ? keep_ms : DAY_MS);
    begin_report(&record);
    add_identity_fields(&record, style, job, "running");
    add_field(&record, "started_at", time_format_ms(&style->started, started_ms));
    add_field(&record, "progress", progress);
    end_report(&record);
    end_record(&record);
    return finish_record(batch, mark, NULL, &batch->other_count);
}

int batch_add_subtasks(struct batch *batch, const struct job *job, unsigned subtasks, unsigned subtasks_failed)
{
    struct mark mark = mark_batch(batch);
    struct record record = begin_record(batch, "subtasks");

    add_pair(&record, "id", job->id);
    add_number_pair(&record, "started", subtasks);
    add_number_pair(&record, "failed", subtasks_failed);
    end_record(&record);
    return finish_record(batch, mark, NULL, &batch->other_count);
}
