#include "queue/maintenance/backlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <weft/log.h>

#include "context/container.h"
#include "queue/redis/call.h"

/* Redis works through what one connection sends without turning to others in between, and a slice takes it up to 2 ms
 * or so. One at a time would be a round trip for each consumer of each queue. */
#define IN_FLIGHT_MAX 4

/* A consumer of one queue. */
struct backlog_call {
    struct call call;
    struct backlog *backlog;
    TAILQ_ENTRY(backlog_call) entry;
    size_t queue;
    enum reclaim_reason reason;
    int64_t silence_ms;
    long count;      /* jobs that went back in slices before the last */
    bool may_follow; /* what was to be settled first has been */
    char consumer[];
};

struct backlog {
    struct queue_link link;
    const struct maintenance_events *events;
    void *user;
    struct command command;
    TAILQ_HEAD(, backlog_call) calls; /* the oldest first */
    unsigned in_flight;
    struct health_subject subjects[];
};

static int write_reclaim(struct call *call)
{
    const struct backlog_call *reclaim = container_of(call, struct backlog_call, call);
    struct command *command = call_start(call, QUEUE_KEY_COUNT);

    command_add_queue(command, &reclaim->backlog->link.keys[reclaim->queue]);
    command_add_text(command, reclaim->consumer);
    command_add_number(command, reclaim->silence_ms);
    return 0;
}

static void on_reclaimed(struct call *call, const redisReply *reply);

static const struct call_kind reclaim_call = {
    .script = &queue_script_reclaim, .write = write_reclaim, .done = on_reclaimed};

static void send_calls(struct backlog *backlog)
{
    struct backlog_call *call;

    TAILQ_FOREACH (call, &backlog->calls, entry) {
        if (backlog->in_flight >= IN_FLIGHT_MAX)
            return;
        if (call->may_follow && !call->call.under_way)
            backlog->in_flight +=
                call_send(&call->call, &reclaim_call, backlog->link.connection, &backlog->command) == 0;
    }
}

/* Where the connection is lost in between, the next call goes on from what Redis has. Those that wait come first, so
 * that a consumer which held much does not hold up the others. */
static void note_slice(struct backlog_call *call, const redisReply *reply)
{
    struct backlog *backlog = call->backlog;
    const char *queue = backlog->link.keys[call->queue].queue;
    bool is_slice = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[1]->type == REDIS_REPLY_INTEGER;

    health_clear_problem(&backlog->subjects[call->queue]);
    if (is_slice)
        call->count += (long)reply->element[0]->integer;
    if (is_slice && reply->element[1]->integer != 0) {
        TAILQ_REMOVE(&backlog->calls, call, entry);
        TAILQ_INSERT_TAIL(&backlog->calls, call, entry);
        return;
    }
    /* That was all, or the consumer was heard of again and keeps the rest. */
    weft_debug("reaper: %s of queue %s is done with, %ld jobs went back", call->consumer, queue, call->count);
    if (call->count > 0)
        backlog->events->reclaimed(queue, call->consumer, call->count, call->reason, backlog->user);
    TAILQ_REMOVE(&backlog->calls, call, entry);
    free(call);
}

/* What failed is sent again by the next flush. */
static void on_reclaimed(struct call *call, const redisReply *reply)
{
    struct backlog_call *reclaim = container_of(call, struct backlog_call, call);
    struct backlog *backlog = reclaim->backlog;

    assert(backlog->in_flight > 0);
    backlog->in_flight--;
    if (!reply) {
        reclaim->may_follow = false;
        return;
    }
    if (reply_is_error(reply, NULL)) {
        reclaim->may_follow = false;
        health_set_problem(&backlog->subjects[reclaim->queue],
                           "does not give back the jobs of dead workers to queue %s: %s",
                           backlog->link.keys[reclaim->queue].queue, reply->str);
    } else {
        note_slice(reclaim, reply);
    }
    if (connection_is_up(backlog->link.connection))
        send_calls(backlog);
}

void backlog_flush(struct backlog *backlog, size_t queue)
{
    struct backlog_call *call;

    TAILQ_FOREACH (call, &backlog->calls, entry)
        if (call->queue == queue)
            call->may_follow = true;
    send_calls(backlog);
}

/* ---- What is noted ---- */

/* Whether one call that was noted does as much as is wanted, maybe because it can still be told to. */
static bool join_call(struct backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                      int64_t silence_ms)
{
    struct backlog_call *call;

    TAILQ_FOREACH (call, &backlog->calls, entry) {
        if (call->queue != queue || strcmp(call->consumer, consumer) != 0)
            continue;
        if (call->silence_ms > silence_ms && !call->call.under_way) {
            call->silence_ms = silence_ms;
            call->reason = reason;
        }
        if (call->silence_ms <= silence_ms)
            return true;
    }
    return false;
}

int backlog_add(struct backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                int64_t silence_ms)
{
    assert(queue < backlog->link.options->queue_count);
    size_t size = strlen(consumer) + 1;

    if (join_call(backlog, queue, consumer, reason, silence_ms))
        return 0;
    struct backlog_call *call = calloc(1, sizeof(*call) + size);
    if (!call)
        return -ENOMEM;
    call->backlog = backlog;
    call->queue = queue;
    call->reason = reason;
    call->silence_ms = silence_ms;
    memcpy(call->consumer, consumer, size);
    weft_debug("reaper: %s of queue %s is to go", consumer, backlog->link.keys[queue].queue);
    TAILQ_INSERT_TAIL(&backlog->calls, call, entry);
    return 0;
}

int backlog_add_everywhere(struct backlog *backlog, const char *consumer, enum reclaim_reason reason,
                           int64_t silence_ms)
{
    int r = 0;

    for (size_t i = 0; i < backlog->link.options->queue_count && r == 0; i++)
        r = backlog_add(backlog, i, consumer, reason, silence_ms);
    return r;
}

bool backlog_has(const struct backlog *backlog, const char *consumer)
{
    const struct backlog_call *call;

    TAILQ_FOREACH (call, &backlog->calls, entry)
        if (strcmp(call->consumer, consumer) == 0)
            return true;
    return false;
}

bool backlog_is_empty(const struct backlog *backlog)
{
    return TAILQ_EMPTY(&backlog->calls);
}

/* ---- Life ---- */

int backlog_new(const struct queue_link *link, const struct maintenance_events *events, void *user,
                struct backlog **ret_backlog)
{
    const size_t queue_count = link->options->queue_count;
    struct backlog *backlog = calloc(1, sizeof(*backlog) + queue_count * sizeof(backlog->subjects[0]));

    if (!backlog)
        return -ENOMEM;
    backlog->link = *link;
    backlog->events = events;
    backlog->user = user;
    TAILQ_INIT(&backlog->calls);
    for (size_t i = 0; i < queue_count; i++)
        backlog->subjects[i].health = link->health;
    *ret_backlog = backlog;
    return 0;
}

struct backlog *backlog_free(struct backlog *backlog)
{
    if (!backlog)
        return NULL;
    for (struct backlog_call *call; (call = TAILQ_FIRST(&backlog->calls)) != NULL; free(call))
        TAILQ_REMOVE(&backlog->calls, call, entry);
    command_done(&backlog->command);
    free(backlog);
    return NULL;
}
