#include "queue/maintenance/reaper_backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/redis/script.h"

/* Redis works through what one connection sends without turning to others in between, and a slice takes it up to 2 ms
 * or so. One at a time would be a round trip for each consumer of each queue. */
#define IN_FLIGHT_MAX 4

/* A consumer of one queue. */
struct reclaim_call {
    struct redis_request request; /* first, so that the one is found from the other */
    struct reclaim *reclaim;
    struct reclaim_call *next;
    size_t queue;
    enum reclaim_reason reason;
    int64_t silence_ms;
    long count;      /* jobs that went back in slices before the last */
    bool may_follow; /* what was to be settled first has been */
    bool sent;
    bool with_source;
    char consumer[];
};

struct reclaim {
    struct redis *redis;
    const struct queue_keys *keys;
    const struct queue_keeper_events *events;
    void *user;
    struct words words;
    struct reclaim_call *calls; /* the oldest first */
    unsigned in_flight;
    struct trouble_subject subjects[];
};

static void remove_call(struct reclaim_call *call)
{
    struct reclaim_call **link = &call->reclaim->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    free(call);
}

static void send_call(struct reclaim_call *call)
{
    struct reclaim *reclaim = call->reclaim;
    struct words *words = &reclaim->words;

    call_start(words, &queue_script_reclaim, call->with_source, 1);
    call_add_keys(words, &reclaim->keys[call->queue]);
    words_add_text(words, call->consumer);
    words_add_number(words, call->silence_ms);
    call->sent = redis_send(reclaim->redis, words, &call->request) == 0;
    reclaim->in_flight += call->sent;
}

static void send_calls(struct reclaim *reclaim)
{
    for (struct reclaim_call *call = reclaim->calls; call && reclaim->in_flight < IN_FLIGHT_MAX; call = call->next)
        if (call->may_follow && !call->sent)
            send_call(call);
}

/* Those that wait come first, so that a consumer which held much does not hold up the others. */
static void move_to_end(struct reclaim_call *call)
{
    struct reclaim_call **link = &call->reclaim->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    while (*link)
        link = &(*link)->next;
    call->next = NULL;
    *link = call;
}

/* What failed is sent again by the next flush. */
static void act_on_error(struct reclaim_call *call, const redisReply *reply)
{
    struct reclaim *reclaim = call->reclaim;

    call->with_source = reply_is_error(reply, "NOSCRIPT");
    if (call->with_source)
        return;
    call->may_follow = false;
    if (reply_blames_server(reply))
        redis_fail(reclaim->redis, reply->str);
    else
        trouble_begin(&reclaim->subjects[call->queue], "does not give back the jobs of dead workers to queue %s: %s",
                      reclaim->keys[call->queue].queue, reply->str);
}

/* A slice has gone back, which is all, or the consumer was heard of again and keeps the rest. */
static void finish_call(struct reclaim_call *call)
{
    struct reclaim *reclaim = call->reclaim;

    if (call->count > 0)
        reclaim->events->reclaimed(reclaim->keys[call->queue].queue, call->consumer, call->count, call->reason,
                                   reclaim->user);
    remove_call(call);
}

/* Where the connection is lost in between, the next call goes on from what Redis has. */
static void note_slice(struct reclaim_call *call, const redisReply *reply)
{
    bool is_slice = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[1]->type == REDIS_REPLY_INTEGER;

    trouble_end(&call->reclaim->subjects[call->queue]);
    if (is_slice)
        call->count += (long)reply->element[0]->integer;
    if (is_slice && reply->element[1]->integer != 0)
        move_to_end(call);
    else
        finish_call(call);
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct reclaim_call *call = (struct reclaim_call *)request;
    struct reclaim *reclaim = call->reclaim;

    call->sent = false;
    reclaim->in_flight--;
    if (!reply) {
        call->may_follow = false;
        return;
    }
    if (reply_is_error(reply, NULL))
        act_on_error(call, reply);
    else
        note_slice(call, reply);
    if (redis_is_up(reclaim->redis))
        send_calls(reclaim);
}

void reclaim_flush(struct reclaim *reclaim, size_t queue)
{
    for (struct reclaim_call *call = reclaim->calls; call; call = call->next)
        if (call->queue == queue)
            call->may_follow = true;
    send_calls(reclaim);
}

/* ---- What is noted ---- */

static bool is_for(const struct reclaim_call *call, size_t queue, const char *consumer)
{
    return call->queue == queue && strcmp(call->consumer, consumer) == 0;
}

/* Whether one call that was noted does as much as is wanted, maybe because it can still be told to. */
static bool join_call(struct reclaim *reclaim, size_t queue, const char *consumer, enum reclaim_reason reason,
                      int64_t silence_ms)
{
    for (struct reclaim_call *call = reclaim->calls; call; call = call->next) {
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

int reclaim_add(struct reclaim *reclaim, size_t queue, const char *consumer, enum reclaim_reason reason,
                int64_t silence_ms)
{
    size_t size = strlen(consumer) + 1;
    struct reclaim_call **link = &reclaim->calls;
    struct reclaim_call *call;

    if (join_call(reclaim, queue, consumer, reason, silence_ms))
        return 0;
    call = calloc(1, sizeof(*call) + size);
    if (!call)
        return -ENOMEM;
    call->request.done = on_reply;
    call->reclaim = reclaim;
    call->queue = queue;
    call->reason = reason;
    call->silence_ms = silence_ms;
    memcpy(call->consumer, consumer, size);
    while (*link)
        link = &(*link)->next;
    *link = call;
    return 0;
}

bool reclaim_has(const struct reclaim *reclaim, const char *consumer)
{
    for (const struct reclaim_call *call = reclaim->calls; call; call = call->next)
        if (strcmp(call->consumer, consumer) == 0)
            return true;
    return false;
}

bool reclaim_is_empty(const struct reclaim *reclaim)
{
    return reclaim->calls == NULL;
}

/* ---- Life ---- */

int reclaim_new(struct redis *redis, const struct queue_keys *keys, size_t queue_count, struct trouble *trouble,
                const struct queue_keeper_events *events, void *user, struct reclaim **ret_reclaim)
{
    struct reclaim *reclaim = calloc(1, sizeof(*reclaim) + queue_count * sizeof(reclaim->subjects[0]));

    if (!reclaim)
        return -ENOMEM;
    reclaim->redis = redis;
    reclaim->keys = keys;
    reclaim->events = events;
    reclaim->user = user;
    for (size_t i = 0; i < queue_count; i++)
        reclaim->subjects[i].trouble = trouble;
    *ret_reclaim = reclaim;
    return 0;
}

struct reclaim *reclaim_free(struct reclaim *reclaim)
{
    if (!reclaim)
        return NULL;
    while (reclaim->calls)
        remove_call(reclaim->calls);
    words_done(&reclaim->words);
    free(reclaim);
    return NULL;
}
