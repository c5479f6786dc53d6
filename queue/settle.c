#include "queue/settle.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/batch.h"
#include "queue/call.h"
#include "queue/scripts.h"

/* Redis works on one batch while the next is on its way; more bring nothing. */
#define IN_FLIGHT_MAX 2
#define SPARES_MAX    8
#define TRIM_MIN      16 /* from how many entries on it pays to see whether they can be trimmed */

struct settle_batch {
    struct redis_request request; /* first, so that the one is found from the other */
    struct settle_lane *lane;
    struct settle_batch *next;
    struct batch content;
    uint64_t serial; /* of the entry that is done last */
    bool adjacent;   /* the entries that are done lie side by side in the stream */
    bool sent;
    bool ended;
    bool with_source; /* Redis does not know the script any more */
};

/* The batches of one queue, in order: those that were sent come first. */
struct settle_lane {
    struct settle *settle;
    size_t queue;
    struct settle_batch *first;
    struct settle_batch *last;
    unsigned in_flight;
};

struct settle {
    struct redis *redis;
    const struct queue_options *options;
    const struct queue_keys *keys;
    const char *consumer;
    struct entry_set *held;
    const struct settle_events *events;
    void *user;
    struct batch_style style;
    struct words words;
    struct settle_batch *spares;
    size_t spare_count;
    size_t batch_count; /* waiting or sent */
    struct settle_lane lanes[];
};

/* ---- Batches ---- */

static struct settle_batch *free_batch(struct settle_batch *batch)
{
    if (batch)
        batch_done(&batch->content);
    free(batch);
    return NULL;
}

/* Memory that one huge result needed is not kept. */
static void spare_batch(struct settle *settle, struct settle_batch *batch)
{
    if (settle->spare_count == SPARES_MAX || batch->content.others.capacity > BATCH_BYTES_MAX) {
        free_batch(batch);
        return;
    }
    batch->next = settle->spares;
    settle->spares = batch;
    settle->spare_count++;
}

static struct settle_batch *take_batch(struct settle *settle)
{
    struct settle_batch *batch = settle->spares;

    if (batch) {
        settle->spares = batch->next;
        settle->spare_count--;
    } else {
        batch = calloc(1, sizeof(*batch));
    }
    if (batch && batch_clear(&batch->content) < 0)
        return free_batch(batch);
    return batch;
}

/* The batch that takes the next record. */
static int open_batch(struct settle_lane *lane, struct settle_batch **ret_batch)
{
    struct settle *settle = lane->settle;
    struct settle_batch *batch = lane->last;

    if (batch && !batch->ended && !batch_is_full(&batch->content)) {
        *ret_batch = batch;
        return 0;
    }
    batch = take_batch(settle);
    if (!batch)
        return -ENOMEM;
    batch->lane = lane;
    batch->next = NULL;
    batch->adjacent = true;
    batch->sent = false;
    batch->ended = false;
    batch->with_source = false;
    if (lane->last)
        lane->last->next = batch;
    else
        lane->first = batch;
    lane->last = batch;
    settle->batch_count++;
    *ret_batch = batch;
    return 0;
}

static void remove_batch(struct settle_batch *batch)
{
    struct settle_lane *lane = batch->lane;
    struct settle_batch *before = NULL;

    for (struct settle_batch *other = lane->first; other != batch; other = other->next)
        before = other;
    if (before)
        before->next = batch->next;
    else
        lane->first = batch->next;
    if (lane->last == batch)
        lane->last = before;
    lane->settle->batch_count--;
    spare_batch(lane->settle, batch);
}

/* Redis has decided about the batch, one way or the other. */
static void conclude_batch(struct settle_batch *batch)
{
    struct settle_lane *lane = batch->lane;

    for (size_t i = 0; i < batch->content.id_count; i++)
        entry_set_remove(lane->settle->held, lane->queue, batch->content.ids[i]);
    remove_batch(batch);
}

/* ---- Replies ---- */

static const char *text_of(const redisReply *reply)
{
    return reply->str ? reply->str : "";
}

/* A job whose outcome Redis does not let us write is left pending there; it is nothing that others may wait for. */
static void report_failures(struct settle *settle, const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *failure = reply->element[i];

        if (failure->type == REDIS_REPLY_ARRAY && failure->elements == 3)
            redis_report(settle->redis, "did not take the outcome of job %s: %s", text_of(failure->element[1]),
                         text_of(failure->element[2]));
    }
}

static void act_on_error(struct settle_batch *batch, const redisReply *reply)
{
    struct settle_lane *lane = batch->lane;
    struct settle *settle = lane->settle;

    if (reply_is_error(reply, "NOSCRIPT")) {
        batch->with_source = true;
    } else if (reply_is_error(reply, "WRONGTYPE")) {
        redis_report(settle->redis, "does not take outcomes of queue %s: %s", settle->keys[lane->queue].queue,
                     reply->str);
        conclude_batch(batch);
    } else {
        redis_fail(settle->redis, reply->str);
    }
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct settle_batch *batch = (struct settle_batch *)request;
    struct settle *settle = batch->lane->settle;

    batch->lane->in_flight--;
    batch->sent = false;
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        act_on_error(batch, reply);
    } else if (reply) {
        report_failures(settle, reply);
        conclude_batch(batch);
    }
    settle->events->wake(settle->user);
}

/* ---- Sending ---- */

static void write_call(const struct settle *settle, const struct settle_batch *batch, struct words *words)
{
    const struct queue_options *options = settle->options;
    const struct batch *content = &batch->content;

    call_start(words, &queue_script_settle, batch->with_source, 1);
    call_add_keys(words, &settle->keys[batch->lane->queue]);
    words_add_text(words, options->node);
    words_add_text(words, settle->consumer);
    words_add_number(words, options->keep_done_ms);
    words_add_number(words, options->keep_done_max);
    words_add_number(words, options->keep_failed_ms);
    words_add_number(words, options->keep_dead); /* reports of dead jobs, and */
    words_add_number(words, options->keep_dead); /* their dead letters */
    words_add_text(words, batch->adjacent && content->done_count >= TRIM_MIN ? "1" : "0");
    words_add(words, content->entries.bytes, content->entries.size);
    words_add(words, content->values.bytes, content->values.size);
    words_add(words, content->others.bytes, content->others.size);
}

static int send_batch(struct settle *settle, struct settle_batch *batch)
{
    int r;

    if (!batch->ended) {
        r = batch_end(&batch->content);
        if (r < 0)
            return r;
        batch->ended = true;
    }
    write_call(settle, batch, &settle->words);
    batch->request.done = on_reply;
    r = redis_send(settle->redis, &settle->words, &batch->request);
    if (r < 0)
        return r;
    batch->sent = true;
    batch->lane->in_flight++;
    return 0;
}

static void flush_lane(struct settle_lane *lane)
{
    for (struct settle_batch *batch = lane->first; batch; batch = batch->next) {
        if (lane->in_flight >= IN_FLIGHT_MAX)
            return;
        if (!batch->sent && send_batch(lane->settle, batch) < 0)
            return;
    }
}

void settle_flush(struct settle *settle)
{
    if (settle->batch_count == 0 || !redis_is_up(settle->redis))
        return;
    for (size_t i = 0; i < settle->options->queue_count; i++)
        flush_lane(&settle->lanes[i]);
}

bool settle_is_empty(const struct settle *settle)
{
    return settle->batch_count == 0;
}

/* ---- Records ---- */

static int finish_add(struct settle *settle, int r)
{
    if (r == 0)
        settle->events->wake(settle->user);
    return r;
}

static void note_serial(struct settle *settle, struct settle_batch *batch, size_t queue)
{
    const struct batch *content = &batch->content;
    uint64_t serial = 0;

    if (content->id_count > 0)
        serial = entry_set_serial(settle->held, queue, content->ids[content->id_count - 1]);
    if (serial == 0 || (content->done_count > 1 && serial != batch->serial + 1))
        batch->adjacent = false;
    batch->serial = serial;
}

int settle_add(struct settle *settle, size_t queue, const struct settlement *settlement)
{
    struct settle_batch *batch;
    uint32_t done_count;
    int r = open_batch(&settle->lanes[queue], &batch);

    if (r < 0)
        return r;
    done_count = batch->content.done_count;
    r = batch_add_settlement(&batch->content, &settle->style, settlement);
    if (r == 0 && batch->content.done_count > done_count)
        note_serial(settle, batch, queue);
    return finish_add(settle, r);
}

int settle_refuse(struct settle *settle, size_t queue, const char *entry, const struct message_refusal *refusal)
{
    struct settle_batch *batch;
    int r = open_batch(&settle->lanes[queue], &batch);

    return r < 0 ? r : finish_add(settle, batch_add_refusal(&batch->content, &settle->style, entry, refusal));
}

int settle_forget(struct settle *settle, size_t queue, const char *entry)
{
    struct settle_batch *batch;
    int r = open_batch(&settle->lanes[queue], &batch);

    return r < 0 ? r : finish_add(settle, batch_add_forgotten(&batch->content, entry));
}

int settle_report_running(struct settle *settle, size_t queue, const struct job *job, int64_t started_ms,
                          const char *progress)
{
    struct settle_batch *batch;
    int r = open_batch(&settle->lanes[queue], &batch);

    if (r == 0)
        r = batch_add_running(&batch->content, &settle->style, job, started_ms, progress);
    return finish_add(settle, r);
}

int settle_add_subtasks(struct settle *settle, size_t queue, const struct job *job, unsigned subtasks,
                        unsigned subtasks_failed)
{
    struct settle_batch *batch;
    int r = open_batch(&settle->lanes[queue], &batch);

    if (r == 0)
        r = batch_add_subtasks(&batch->content, job, subtasks, subtasks_failed);
    return finish_add(settle, r);
}

/* ---- Life ---- */

int settle_new(struct redis *redis, const struct queue_options *options, const struct queue_keys *keys,
               const char *consumer, struct entry_set *held, const struct settle_events *events, void *user,
               struct settle **ret_settle)
{
    struct settle *settle = calloc(1, sizeof(*settle) + options->queue_count * sizeof(settle->lanes[0]));

    if (!settle)
        return -ENOMEM;
    settle->redis = redis;
    settle->options = options;
    settle->keys = keys;
    settle->consumer = consumer;
    settle->held = held;
    settle->events = events;
    settle->user = user;
    settle->style.options = options;
    for (size_t i = 0; i < options->queue_count; i++) {
        settle->lanes[i].settle = settle;
        settle->lanes[i].queue = i;
    }
    *ret_settle = settle;
    return 0;
}

static void free_batches(struct settle_batch *batch)
{
    while (batch) {
        struct settle_batch *next = batch->next;

        free_batch(batch);
        batch = next;
    }
}

struct settle *settle_free(struct settle *settle)
{
    if (!settle)
        return NULL;
    for (size_t i = 0; i < settle->options->queue_count; i++)
        free_batches(settle->lanes[i].first);
    free_batches(settle->spares);
    words_done(&settle->words);
    free(settle);
    return NULL;
}
