#include "queue/settle/settle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/container.h"
#include "queue/redis/script.h"
#include "queue/settle/pending_batch.h"
#include "queue/settle/settle_queue.h"

/* Redis works on one batch while the next is on its way; more bring nothing. */
#define IN_FLIGHT_MAX 2
#define TRIM_MIN      16   /* from how many entries on it pays to see whether they can be trimmed */
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

static void forget_entry(struct settle *settle, size_t queue, const struct batch_record *record)
{
    if (!record->outcome)
        return;
    weft_debug("Redis has the outcome of entry %" PRIu64 "-%" PRIu64 " of queue %s", record->id.ms, record->id.sequence,
               settle->setup.link.keys[queue].queue);
    entry_set_remove(settle->setup.held, queue, record->id);
}

/* Redis has taken all of the batch. */
static void conclude_batch(struct settle *settle, struct pending_batch *batch)
{
    for (size_t i = 0; i < batch->content.record_count; i++)
        forget_entry(settle, batch->settle_queue->queue, &batch->content.records[i]);
    pending_batch_remove(batch);
}

/* Redis has taken only what is not `kept`. Trying to write that again does no harm, but costs Redis time. */
static void reduce_batch(struct settle *settle, struct pending_batch *batch, const bool *kept)
{
    for (size_t i = 0; i < batch->content.record_count; i++)
        if (!kept[i])
            forget_entry(settle, batch->settle_queue->queue, &batch->content.records[i]);
    pending_batch_keep(&batch->content, kept);
    settle_queue_count_kept(batch);
    weft_debug("queue %s: %zu records are refused and tried again",
               settle->setup.link.keys[batch->settle_queue->queue].queue, (size_t)batch->content.record_count);
    batch->reduced = true;
    batch->ended = false;
    batch->adjacent = false;
}

/* Without the full stop that some sentences of Redis end with. */
static int sentence_size(const char *command)
{
    size_t size = strlen(command);

    return (int)(size > 0 && command[size - 1] == '.' ? size - 1 : size);
}

/* What Redis does not let us write is kept, and its jobs are held, until it does. Others do not wait for it. */
static bool put_off(struct settle *settle, struct pending_batch *batch)
{
    if (!event_pending(settle->timer, EV_TIMEOUT, NULL))
        event_add(settle->timer, &(struct timeval){.tv_sec = REST_S});
    return pending_batch_refuse(batch);
}

static void put_off_all(struct settle *settle, struct pending_batch *batch, const char *command)
{
    if (put_off(settle, batch))
        health_set_problem(&batch->settle_queue->health,
                           "did not take outcomes of queue %s: %.*s; they are tried again each second",
                           settle->setup.link.keys[batch->settle_queue->queue].queue, sentence_size(command), command);
}

struct failure {
    struct batch_record *record; /* NULL: the batch as a whole */
    const char *id;
    const char *command;
};

/* Gives false if the reply makes no sense. */
static bool read_failure(struct batch *batch, const redisReply *reply, struct failure *ret_failure)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply->element[1]->str || !reply->element[2]->str)
        return false;
    ret_failure->record = pending_batch_find(batch, reply->element[0]->integer);
    ret_failure->id = reply->element[1]->str;
    ret_failure->command = reply->element[2]->str;
    return true;
}

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
            put_off_all(settle, batch, failure.command);
            return;
        }
        kept[failure.record - content->records] = true;
        if (!first.record)
            first = failure;
    }
    if (!first.record) {
        conclude_batch(settle, batch);
        return;
    }
    if (put_off(settle, batch))
        health_set_problem(
            &batch->settle_queue->health, "did not take the %s of job %s: %.*s; it is tried again each second",
            first.record->outcome ? "outcome" : "report", first.id, sentence_size(first.command), first.command);
    reduce_batch(settle, batch, kept);
}

static void on_reply(struct script_call *call, const redisReply *reply)
{
    struct pending_batch *batch = container_of(call, struct pending_batch, call);
    struct settle *settle = batch->settle_queue->owner;

    assert(batch->sent && batch->ended && batch->settle_queue->in_flight > 0);
    batch->settle_queue->in_flight--;
    batch->sent = false;
    if (reply) {
        if (reply_blames_server(reply))
            redis_fail(settle->setup.link.redis, reply->str);
        else if (reply_is_error(reply, NULL))
            put_off_all(settle, batch, reply->str);
        else
            take_failures(settle, batch, reply);
    }
    settle->setup.wake(settle->setup.user);
}

static void end_rest(evutil_socket_t fd, short what, void *arg)
{
    struct settle *settle = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        for (struct pending_batch *batch = settle->settle_queues[i].first; batch; batch = batch->next)
            batch->resting = false;
    settle->setup.wake(settle->setup.user);
}

/* ---- Sending ---- */

static int write_call(struct script_call *call)
{
    const struct pending_batch *batch = container_of(call, struct pending_batch, call);
    const struct settle *settle = batch->settle_queue->owner;
    const struct queue_options *options = settle->setup.link.options;
    const struct batch *content = &batch->content;
    struct command *command = script_call_start(call, QUEUE_KEY_COUNT);

    script_command_add_queue(command, &settle->setup.link.keys[batch->settle_queue->queue]);
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

static const struct script_call_kind settle_call = {
    .script = &queue_script_settle, .write = write_call, .done = on_reply};

static int send_batch(struct settle *settle, struct pending_batch *batch)
{
    int r;

    if (!batch->ended) {
        r = batch_end(&batch->content);
        if (r < 0)
            return r;
        batch->ended = true;
    }
    r = script_call_send(&batch->call, &settle_call, settle->setup.link.redis, &settle->command);
    if (r < 0)
        return r;
    batch->sent = true;
    batch->settle_queue->in_flight++;
    return 0;
}

static void flush_queue(struct settle_queue *settle_queue)
{
    for (struct pending_batch *batch = settle_queue->first; batch; batch = batch->next) {
        if (settle_queue->in_flight >= IN_FLIGHT_MAX)
            return;
        if (!batch->sent && !batch->resting && send_batch(settle_queue->owner, batch) < 0)
            return;
    }
}

void settle_flush(struct settle *settle)
{
    if (!redis_is_up(settle->setup.link.redis))
        return;
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        flush_queue(&settle->settle_queues[i]);
}

bool settle_is_empty(const struct settle *settle)
{
    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        if (settle->settle_queues[i].first)
            return false;
    return true;
}

bool settle_has_tried(const struct settle *settle, size_t queue)
{
    for (const struct pending_batch *batch = settle->settle_queues[queue].first; batch; batch = batch->next)
        if (!batch->reduced)
            return false;
    return true;
}

size_t settle_count(const struct settle *settle)
{
    size_t count = 0;

    for (size_t i = 0; i < settle->setup.link.options->queue_count; i++)
        for (const struct pending_batch *batch = settle->settle_queues[i].first; batch; batch = batch->next)
            for (size_t j = 0; j < batch->content.record_count; j++)
                count += batch->content.records[j].outcome;
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

/* The batch of a queue, by its number, that takes the next record. */
static int open_batch(struct settle *settle, size_t queue, struct pending_batch **ret_batch)
{
    assert(queue < settle->setup.link.options->queue_count);
    return settle_queue_open(&settle->settle_queues[queue], ret_batch);
}

static int finish_add(struct settle *settle, int r)
{
    if (r == 0)
        settle->setup.wake(settle->setup.user);
    return r;
}

/* The entry that was added last is not one to be looked for any more. */
static int finish_entry(struct settle *settle, size_t queue, const struct pending_batch *batch, int r)
{
    const struct batch *content = &batch->content;

    if (r == 0)
        entry_set_mark(settle->setup.held, queue, content->records[content->record_count - 1].id, ENTRY_SETTLING);
    return finish_add(settle, r);
}

int settle_add(struct settle *settle, size_t queue, const struct settlement *settlement)
{
    struct pending_batch *batch;
    uint32_t done_count;
    int r;

    assert(settlement->job);
    r = open_batch(settle, queue, &batch);
    if (r < 0)
        return r;
    done_count = batch->content.done_count;
    r = batch_add_settlement(&batch->content, &settle->style, settlement);
    if (r == 0 && batch->content.done_count > done_count) {
        const struct batch *content = &batch->content;
        uint64_t serial = entry_set_serial(settle->setup.held, queue, content->records[content->record_count - 1].id);

        if (serial == 0 || (content->done_count > 1 && serial != batch->serial + 1))
            batch->adjacent = false;
        batch->serial = serial;
    }
    return finish_entry(settle, queue, batch, r);
}

int settle_reject(struct settle *settle, size_t queue, const char *entry, const struct message_rejection *rejection)
{
    struct pending_batch *batch;
    int r = open_batch(settle, queue, &batch);

    if (r < 0)
        return r;
    r = batch_add_rejection(&batch->content, &settle->style, entry, rejection);
    return finish_entry(settle, queue, batch, r);
}

int settle_forget(struct settle *settle, size_t queue, const char *entry)
{
    struct pending_batch *batch;
    int r = open_batch(settle, queue, &batch);

    return r < 0 ? r : finish_entry(settle, queue, batch, batch_add_forgotten(&batch->content, entry));
}

int settle_report_running(struct settle *settle, size_t queue, const struct job *job, int64_t started_ms,
                          const char *progress)
{
    struct pending_batch *batch;
    int r = open_batch(settle, queue, &batch);

    if (r == 0)
        r = batch_add_running(&batch->content, &settle->style, job, started_ms, progress);
    return finish_add(settle, r);
}

int settle_add_subtasks(struct settle *settle, size_t queue, const struct job *job, unsigned subtasks,
                        unsigned subtasks_failed)
{
    struct pending_batch *batch;
    int r = open_batch(settle, queue, &batch);

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
    settle->timer = event_new(setup->link.base, -1, 0, end_rest, settle);
    for (size_t i = 0; i < count; i++)
        settle->settle_queues[i] = (struct settle_queue){
            .owner = settle, .queue = i, .spares = &settle->spares, .health = {.health = setup->link.health}};
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
        settle_queue_done(&settle->settle_queues[i]);
    pending_batch_spares_done(&settle->spares);
    if (settle->timer)
        event_free(settle->timer);
    command_done(&settle->command);
    free(settle);
    return NULL;
}
