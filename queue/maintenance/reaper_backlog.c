#include "queue/maintenance/reaper_backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/redis/script.h"

/* Redis works through what one connection sends without turning to others in between, and a slice takes it up to 2 ms
 * or so. One at a time would be a round trip for each consumer of each queue. */
#define IN_FLIGHT_MAX 4

/* A consumer of one queue. */
struct reaper_call {
    struct redis_request request; /* first, so that the one is found from the other */
    struct reaper_backlog *backlog;
    struct reaper_call *next;
    size_t queue;
    enum reclaim_reason reason;
    int64_t silence_ms;
    long count;      /* jobs that went back in slices before the last */
    bool may_follow; /* what was to be settled first has been */
    bool sent;
    bool with_source;
    char consumer[];
};

struct reaper_backlog {
    struct redis *redis;
    const struct queue_keys *keys;
    const struct maintenance_events *events;
    void *user;
    struct command command;
    struct reaper_call *calls; /* the oldest first */
    unsigned in_flight;
    struct health_subject subjects[];
};

static void remove_call(struct reaper_call *call)
{
    struct reaper_call **link = &call->backlog->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    free(call);
}

static void send_call(struct reaper_call *call)
{
    struct reaper_backlog *backlog = call->backlog;
    struct command *command = &backlog->command;

    script_call_start(command, &queue_script_reclaim, call->with_source, 1);
    script_call_add_keys(command, &backlog->keys[call->queue]);
    command_add_text(command, call->consumer);
    command_add_number(command, call->silence_ms);
    call->sent = redis_send(backlog->redis, command, &call->request) == 0;
    backlog->in_flight += call->sent;
}

static void send_calls(struct reaper_backlog *backlog)
{
    for (struct reaper_call *call = backlog->calls; call && backlog->in_flight < IN_FLIGHT_MAX; call = call->next)
        if (call->may_follow && !call->sent)
            send_call(call);
}

/* Those that wait come first, so that a consumer which held much does not hold up the others. */
static void move_to_end(struct reaper_call *call)
{
    struct reaper_call **link = &call->backlog->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    while (*link)
        link = &(*link)->next;
    call->next = NULL;
    *link = call;
}

/* What failed is sent again by the next flush. */
static void act_on_error(struct reaper_call *call, const redisReply *reply)
{
    struct reaper_backlog *backlog = call->backlog;

    call->with_source = reply_is_error(reply, "NOSCRIPT");
    if (call->with_source)
        return;
    call->may_follow = false;
    if (reply_blames_server(reply))
        redis_fail(backlog->redis, reply->str);
    else
        health_set_problem(&backlog->subjects[call->queue],
                           "does not give back the jobs of dead workers to queue %s: %s",
                           backlog->keys[call->queue].queue, reply->str);
}

/* A slice has gone back, which is all, or the consumer was heard of again and keeps the rest. */
static void finish_call(struct reaper_call *call)
{
    struct reaper_backlog *backlog = call->backlog;

    if (call->count > 0)
        backlog->events->reclaimed(backlog->keys[call->queue].queue, call->consumer, call->count, call->reason,
                                   backlog->user);
    remove_call(call);
}

/* Where the connection is lost in between, the next call goes on from what Redis has. */
static void note_slice(struct reaper_call *call, const redisReply *reply)
{
    bool is_slice = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[1]->type == REDIS_REPLY_INTEGER;

    health_clear_problem(&call->backlog->subjects[call->queue]);
    if (is_slice)
        call->count += (long)reply->element[0]->integer;
    if (is_slice && reply->element[1]->integer != 0)
        move_to_end(call);
    else
        finish_call(call);
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct reaper_call *call = (struct reaper_call *)request;
    struct reaper_backlog *backlog = call->backlog;

    call->sent = false;
    backlog->in_flight--;
    if (!reply) {
        call->may_follow = false;
        return;
    }
    if (reply_is_error(reply, NULL))
        act_on_error(call, reply);
    else
        note_slice(call, reply);
    if (redis_is_up(backlog->redis))
        send_calls(backlog);
}

void reaper_backlog_flush(struct reaper_backlog *backlog, size_t queue)
{
    for (struct reaper_call *call = backlog->calls; call; call = call->next)
        if (call->queue == queue)
            call->may_follow = true;
    send_calls(backlog);
}

/* ---- What is noted ---- */

static bool is_for(const struct reaper_call *call, size_t queue, const char *consumer)
{
    return call->queue == queue && strcmp(call->consumer, consumer) == 0;
}

/* Whether one call that was noted does as much as is wanted, maybe because it can still be told to. */
static bool join_call(struct reaper_backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                      int64_t silence_ms)
{
    for (struct reaper_call *call = backlog->calls; call; call = call->next) {
        if (!is_for(call, queue, consumer))
            continue;
        if (call->silence_ms > silence_ms && !call->sent) {
            call->silence_ms = silence_ms;
            call->reason = reason;
        }
        if (call->silence_ms <= silence_ms)
            return true;
    }
    return false;
}

int reaper_backlog_add(struct reaper_backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                       int64_t silence_ms)
{
    size_t size = strlen(consumer) + 1;
    struct reaper_call **link = &backlog->calls;
    struct reaper_call *call;

    if (join_call(backlog, queue, consumer, reason, silence_ms))
        return 0;
    call = calloc(1, sizeof(*call) + size);
    if (!call)
        return -ENOMEM;
    call->request.done = on_reply;
    call->backlog = backlog;
    call->queue = queue;
    call->reason = reason;
    call->silence_ms = silence_ms;
    memcpy(call->consumer, consumer, size);
    while (*link)
        link = &(*link)->next;
    *link = call;
    return 0;
}

bool reaper_backlog_has(const struct reaper_backlog *backlog, const char *consumer)
{
    for (const struct reaper_call *call = backlog->calls; call; call = call->next)
        if (strcmp(call->consumer, consumer) == 0)
            return true;
    return false;
}

bool reaper_backlog_is_empty(const struct reaper_backlog *backlog)
{
    return backlog->calls == NULL;
}

/* ---- Life ---- */

int reaper_backlog_new(struct redis *redis, const struct queue_keys *keys, size_t queue_count, struct health *health,
                       const struct maintenance_events *events, void *user, struct reaper_backlog **ret_backlog)
{
    struct reaper_backlog *backlog = calloc(1, sizeof(*backlog) + queue_count * sizeof(backlog->subjects[0]));

    if (!backlog)
        return -ENOMEM;
    backlog->redis = redis;
    backlog->keys = keys;
    backlog->events = events;
    backlog->user = user;
    for (size_t i = 0; i < queue_count; i++)
        backlog->subjects[i].health = health;
    *ret_backlog = backlog;
    return 0;
}

struct reaper_backlog *reaper_backlog_free(struct reaper_backlog *backlog)
{
    if (!backlog)
        return NULL;
    while (backlog->calls)
        remove_call(backlog->calls);
    command_done(&backlog->command);
    free(backlog);
    return NULL;
}
