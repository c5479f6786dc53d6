#include "queue/settle/settle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/container.h"
#include "queue/redis/call.h"
#include "queue/settle/settle_queue.h"

/* Redis works on one batch while the next is on its way; more bring nothing. */
#define IN_FLIGHT_MAX 2
#define TRIM_MIN      16   /* from how many entries on it pays to see whether they can be trimmed */
#define ROW_MIN       64   /* so many that lie side by side are not mixed with others */
#define REFUSED_MAX   256  /* batches of a queue, which are kept in memory */
#define KEPT_MAX      1000 /* outcomes of a queue in them */
#define REST_S        1

struct settle {
    struct settle_setup setup;
    struct batch_style style;
    struct command command;
    struct event *timer; /* ends the rest of batches that Redis did not take */
    struct pending_batch_spares spares;
    struct settle_queue settle_queues[];
};

/* ---- Replies ---- */

/* Redis has taken all of the batch, or (with `kept`, a flag for each record) only what is not kept. */
static void forget_entries(struct settle *settle, const struct pending_batch *batch, const bool *kept)
{
    for (size_t i = 0; i < batch->content.record_count; i++) {
        const struct batch_record *record = &batch->content.records[i];

        if (!record->outcome || (kept && kept[i]))
            continue;
        weft_debug("Redis has the outcome of entry %" PRIu64 "-%" PRIu64 " of queue %s", record->id.ms,
                   record->id.sequence, batch->settle_queue->keys->queue);
        entry_set_remove(settle->setup.held, batch->settle_queue->queue, record->id);
    }
}

/* Without the full stop that some sentences of Redis end with. */
static int sentence_size(const char *sentence)
{
    size_t size = strlen(sentence);

    return (int)(size > 0 && sentence[size - 1] == '.' ? size - 1 : size);
}

/* What Redis does not let us write is kept, and its jobs are held, until it does. Others do not wait for it. */
static bool put_off(struct settle *settle, struct pending_batch *batch, const bool *kept)
{
    if (!event_pending(settle->timer, EV_TIMEOUT, NULL))
        event_add(settle->timer, &(struct timeval){.tv_sec = REST_S});
    return pending_batch_refuse(batch, kept);
}

static void put_off_all(struct settle *settle, struct pending_batch *batch, const char *error)
{
    if (put_off(settle, batch, NULL))
        health_set_problem(&batch->settle_queue->health,
                           "did not take outcomes of queue %s: %.*s; they are tried again each second",
                           batch->settle_queue->keys->queue, sentence_size(error), error);
}

struct failure {
    struct batch_record *record; /* NULL: the batch as a whole */
    const char *id;
    const char *error;
};

/* Gives false if the reply makes no sense. */
static bool read_failure(struct batch *batch, const redisReply *reply, struct failure *ret_failure)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply->element[1]->str || !reply->element[2]->str)
        return false;
    ret_failure->record = batch_find(batch, reply->element[0]->integer);
    ret_failure->id = reply->element[1]->str;
    ret_failure->error = reply->element[2]->str;
    return true;
}

/* Trying to write again what Redis has taken does no harm, but costs it time. */
static void take_failures(struct settle *settle, struct pending_batch *batch, const redisReply *reply)
{
    struct batch *content = &batch->content;
    bool kept[BATCH_RECORDS_MAX] = {false};
    struct failure first = {0};

    for (size_t i = 0; i < reply->elements; i++) {
        struct failure failure;

        if (!read_failure(content, reply->element[i], &failure))
            continue;
        if (!failure.record) {
            put_off_all(settle, batch, failure.error);
            return;
        }
        kept[failure.record - content->records] = true;
        if (!first.record)
            first = failure;
    }
    if (!first.record) {
        forget_entries(settle, batch, NULL);
        pending_batch_remove(batch);
        return;
    }
    const char *what = first.record->outcome ? "outcome" : "report";

    forget_entries(settle, batch, kept);
    if (put_off(settle, batch, kept))
        health_set_problem(&batch->settle_queue->health,
                           "did not take the %s of job %s: %.*s; it is tried again each second", what, first.id,
                           sentence_size(first.error), first.error);
}

static void on_reply(struct call *call, const redisReply *reply)
{
    struct pending_batch *batch = container_of(call, struct pending_batch, call);
    struct settle *settle = batch->settle_queue->owner;

    if (!reply)
        pending_batch_set_state(batch, BATCH_READY);
    else if (reply_is_error(reply, NULL))
        put_off_all(settle, batch, reply->str);
    else
        take_failures(settle, batch, reply);
    settle->setup.wake(settle->setup.user);
}

static void end_rest(evutil_socket_t fd, short what, void *arg)
{
    struct settle *settle = arg;
    struct pending_batch *batch;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        TAILQ_FOREACH (batch, &settle->settle_queues[i].batches, entry)
            if (batch->state == BATCH_RESTING)
                pending_batch_set_state(batch, BATCH_READY);
    settle->setup.wake(settle->setup.user);
}

/* ---- Sending ---- */

static int write_call(struct call *call)
{
    const struct pending_batch *batch = container_of(call, struct pending_batch, call);
    const struct settle *settle = batch->settle_queue->owner;
    const struct queue_options *options = settle->setup.link.options;
    const struct batch *content = &batch->content;
    struct command *command = call_start(call, QUEUE_KEY_COUNT);

    command_add_queue(command, batch->settle_queue->keys);
    command_add_text(command, options->node);
    command_add_text(command, settle->setup.link.consumer);
    command_add_number(command, options->keep_done_ms);
    command_add_number(command, options->keep_done_max);
    command_add_number(command, options->keep_failed_ms);
    command_add_number(command, options->keep_dead); /* reports of dead jobs, and */
    command_add_number(command, options->keep_dead); /* their dead letters */
    command_add_text(command, batch->adjacent && content->done_count >= TRIM_MIN ? "1" : "0");
    command_add(command, content->entries.bytes, content->entries.size);
    command_add(command, content->values.bytes, content->values.size);
    command_add(command, content->others.bytes, content->others.size);
    return 0;
}

static const struct call_kind settle_call = {.script = &queue_script_settle, .write = write_call, .done = on_reply};

static void flush_queue(struct settle *settle, struct settle_queue *settle_queue)
{
    struct pending_batch *batch;

    TAILQ_FOREACH (batch, &settle_queue->batches, entry) {
        if (settle_queue->in_flight >= IN_FLIGHT_MAX)
            return;
        if (batch->state == BATCH_OPEN) {
            if (batch_end(&batch->content) < 0)
                return;
            pending_batch_set_state(batch, BATCH_READY);
        }
        if (batch->state != BATCH_READY)
            continue;
        if (call_send(&batch->call, &settle_call, settle->setup.link.connection, &settle->command) < 0)
            return;
        pending_batch_set_state(batch, BATCH_SENT);
    }
}

void settle_flush(struct settle *settle)
{
    if (!connection_is_up(settle->setup.link.connection))
        return;
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        flush_queue(settle, &settle->settle_queues[i]);
}

bool settle_is_empty(const struct settle *settle)
{
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        if (!TAILQ_EMPTY(&settle->settle_queues[i].batches))
            return false;
    return true;
}

bool settle_has_tried(const struct settle *settle, size_t queue)
{
    const struct pending_batch *batch;

    TAILQ_FOREACH (batch, &settle->settle_queues[queue].batches, entry)
        if (batch->verdict != BATCH_REDUCED)
            return false;
    return true;
}

size_t settle_count(const struct settle *settle)
{
    const struct pending_batch *batch;
    size_t count = 0;

    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        TAILQ_FOREACH (batch, &settle->settle_queues[i].batches, entry)
            count += batch_count_outcomes(&batch->content);
    return count;
}

bool settle_is_clogged(const struct settle *settle, size_t queue)
{
    return settle->settle_queues[queue].refused >= REFUSED_MAX || settle->settle_queues[queue].kept >= KEPT_MAX;
}

size_t settle_count_kept(const struct settle *settle)
{
    size_t count = 0;

    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        count += settle->settle_queues[i].kept;
    return count;
}

/* ---- Records ---- */

/* Ends the adding of a record: `r` is what became of it. */
static int finish_add(struct settle *settle, int r)
{
    if (r == 0)
        settle->setup.wake(settle->setup.user);
    return r;
}

/* The same of an outcome, whose entry is not one to be looked for any more. */
static int finish_entry(struct settle *settle, struct pending_batch *batch, int r)
{
    struct batch *content = &batch->content;

    if (r == 0) {
        const struct batch_record *record = &content->records[content->record_count - 1];
        size_t queue = batch->settle_queue->queue;

        if (!record->done)
            content->copied += entry_set_bytes(settle->setup.held, queue, record->id);
        entry_set_mark(settle->setup.held, queue, record->id, ENTRY_SETTLING);
    }
    return finish_add(settle, r);
}

/* What lies side by side in the stream costs Redis less. Where many that do are followed by one from elsewhere, such as
 * another read, that begins the next batch; or each batch to come would have a part of two reads. */
static int open_batch_for(struct settle *settle, size_t queue, const char *entry, struct pending_batch **ret_batch)
{
    struct settle_queue *settle_queue = &settle->settle_queues[queue];
    struct entry_id id;
    int r = settle_queue_open(settle_queue, ret_batch);

    if (r < 0 || !(*ret_batch)->adjacent || (*ret_batch)->content.done_count < ROW_MIN ||
        entry_id_parse(entry, &id) < 0 || entry_set_serial(settle->setup.held, queue, id) == (*ret_batch)->serial + 1)
        return r;
    r = batch_end(&(*ret_batch)->content);
    if (r < 0)
        return r;
    pending_batch_set_state(*ret_batch, BATCH_READY);
    return settle_queue_open(settle_queue, ret_batch);
}

int settle_add(struct settle *settle, size_t queue, const struct settlement *settlement)
{
    assert(queue < settle->setup.link.options->queue_count && settlement->job);
    struct pending_batch *batch;
    int r = open_batch_for(settle, queue, settlement->job->entry, &batch);

    if (r < 0)
        return r;
    const struct batch *content = &batch->content;
    uint32_t done_count = content->done_count;

    r = batch_add_settlement(&batch->content, &settle->style, settlement);
    if (r == 0 && content->done_count > done_count) {
        uint64_t serial = entry_set_serial(settle->setup.held, queue, content->records[content->record_count - 1].id);

        if (serial == 0 || (content->done_count > 1 && serial != batch->serial + 1))
            batch->adjacent = false;
        batch->serial = serial;
    }
    return finish_entry(settle, batch, r);
}

int settle_reject(struct settle *settle, size_t queue, const char *entry, const struct message_rejection *rejection)
{
    assert(queue < settle->setup.link.options->queue_count && rejection->reason[0]);
    struct pending_batch *batch;
    int r = settle_queue_open(&settle->settle_queues[queue], &batch);

    return r < 0 ? r
                 : finish_entry(settle, batch, batch_add_rejection(&batch->content, &settle->style, entry, rejection));
}

int settle_forget(struct settle *settle, size_t queue, const char *entry)
{
    assert(queue < settle->setup.link.options->queue_count);
    struct pending_batch *batch;
    int r = settle_queue_open(&settle->settle_queues[queue], &batch);

    return r < 0 ? r : finish_entry(settle, batch, batch_add_forgotten(&batch->content, entry));
}

int settle_report_running(struct settle *settle, size_t queue, const struct job *job, int64_t started_ms,
                          const char *progress)
{
    assert(queue < settle->setup.link.options->queue_count);
    struct pending_batch *batch;
    int r = settle_queue_open(&settle->settle_queues[queue], &batch);

    if (r == 0)
        r = batch_add_running(&batch->content, &settle->style, job, started_ms, progress);
    return finish_add(settle, r);
}

int settle_add_subtasks(struct settle *settle, size_t queue, const struct job *job, unsigned subtasks,
                        unsigned subtasks_failed)
{
    assert(queue < settle->setup.link.options->queue_count);
    struct pending_batch *batch;
    int r = settle_queue_open(&settle->settle_queues[queue], &batch);

    if (r == 0)
        r = batch_add_subtasks(&batch->content, job, subtasks, subtasks_failed);
    return finish_add(settle, r);
}

/* ---- Life ---- */

int settle_new(const struct settle_setup *setup, struct settle **ret_settle)
{
    size_t count = setup->link.options->queue_count;
    struct settle *settle = calloc(1, sizeof(*settle) + count * sizeof(settle->settle_queues[0]));

    if (!settle)
        return -ENOMEM;
    settle->setup = *setup;
    settle->style.options = setup->link.options;
    TAILQ_INIT(&settle->spares.batches);
    for (size_t i = 0; i < count; i++) {
        struct settle_queue *settle_queue = &settle->settle_queues[i];

        settle_queue->owner = settle;
        settle_queue->queue = i;
        settle_queue->keys = &setup->link.keys[i];
        settle_queue->spares = &settle->spares;
        settle_queue->health.health = setup->link.health;
        TAILQ_INIT(&settle_queue->batches);
    }
    settle->timer = event_new(setup->link.base, -1, 0, end_rest, settle);
    if (!settle->timer) {
        settle_free(settle);
        return -ENOMEM;
    }
    *ret_settle = settle;
    return 0;
}

struct settle *settle_free(struct settle *settle)
{
    if (!settle)
        return NULL;
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        pending_batches_free(&settle->settle_queues[i].batches);
    pending_batches_free(&settle->spares.batches);
    if (settle->timer)
        event_free(settle->timer);
    command_done(&settle->command);
    free(settle);
    return NULL;
}
