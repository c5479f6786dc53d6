#include "queue/keeper.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "queue/call.h"
#include "queue/clock.h"
#include "queue/group.h"
#include "queue/redis.h"

#define LOOK_PERIOD_MS 250 /* at the longest, for jobs that others have delayed meanwhile */
#define LOOK_AGAIN_MS  1   /* at the shortest */
#define PROMOTE_MAX    100 /* jobs of a queue a look */

struct keeper_call {
    struct redis_request request; /* first, so that the one is found from the other */
    struct queue_keeper *keeper;
    bool sent;
    bool with_source;
};

/* A dead consumer's jobs of one queue. */
struct reclaim {
    struct keeper_call call; /* first, for the same reason */
    struct reclaim *next;
    size_t queue;
    char consumer[];
};

struct queue_keeper {
    const struct queue_options *options;
    const struct queue_keeper_events *events;
    void *user;
    struct queue_keys *keys;
    struct redis *redis;
    struct group_maker *groups;
    struct event *timer; /* the next look at the delayed jobs */
    struct words words;
    bool met; /* the first round trip has succeeded */
    bool up;  /* and the groups are there */
    struct keeper_call promotion;
    struct reclaim *reclaims; /* the oldest first */
};

static void look_in(struct queue_keeper *keeper, int64_t ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(keeper->timer, &time);
}

/* What goes for the replies to both scripts. Gives whether it is one to be read. */
static bool check_reply(struct keeper_call *call, const redisReply *reply)
{
    struct queue_keeper *keeper = call->keeper;

    call->sent = false;
    if (!reply)
        return false;
    call->with_source = reply_is_error(reply, "NOSCRIPT");
    if (!reply_is_error(reply, NULL))
        return true;
    if (reply_blames_server(reply))
        redis_fail(keeper->redis, reply->str);
    else if (!call->with_source)
        redis_report(keeper->redis, "does not do what it should: %s", reply->str);
    return false;
}

/* ---- Promoting ---- */

static int64_t time_until(const redisReply *reply)
{
    int64_t due_ms = reply->str ? strtoll(reply->str, NULL, 10) : -1;
    int64_t waiting_ms = due_ms - clock_now_ms();

    if (due_ms < 0 || waiting_ms > LOOK_PERIOD_MS)
        return LOOK_PERIOD_MS;
    return waiting_ms > LOOK_AGAIN_MS ? waiting_ms : LOOK_AGAIN_MS;
}

static void on_promoted(struct redis_request *request, const redisReply *reply)
{
    struct keeper_call *call = (struct keeper_call *)request;
    struct queue_keeper *keeper = call->keeper;

    if (!check_reply(call, reply)) {
        look_in(keeper, call->with_source ? LOOK_AGAIN_MS : LOOK_PERIOD_MS);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        look_in(keeper, LOOK_PERIOD_MS);
        return;
    }
    if (reply->element[1]->len > 0)
        redis_report(keeper->redis, "does not take a delayed job that is due: %s", reply->element[1]->str);
    look_in(keeper, time_until(reply->element[0]));
}

static void promote(struct queue_keeper *keeper)
{
    struct words *words = &keeper->words;
    struct keeper_call *call = &keeper->promotion;

    if (!keeper->up || call->sent)
        return;
    call_start(words, &queue_script_promote, call->with_source, keeper->options->queue_count);
    for (size_t i = 0; i < keeper->options->queue_count; i++)
        call_add_keys(words, &keeper->keys[i]);
    words_add_number(words, QUEUE_KEY_COUNT);
    words_add_number(words, clock_now_ms());
    words_add_number(words, PROMOTE_MAX);
    call->request.done = on_promoted;
    call->keeper = keeper;
    call->sent = redis_send(keeper->redis, words, &call->request) == 0;
}

/* ---- Reclaiming ---- */

static void remove_reclaim(struct queue_keeper *keeper, struct reclaim *reclaim)
{
    struct reclaim **link = &keeper->reclaims;

    while (*link != reclaim)
        link = &(*link)->next;
    *link = reclaim->next;
    free(reclaim);
}

static void send_reclaims(struct queue_keeper *keeper);

/* What failed is tried again at the next look. */
static void on_reclaimed(struct redis_request *request, const redisReply *reply)
{
    struct reclaim *reclaim = (struct reclaim *)request;
    struct queue_keeper *keeper = reclaim->call.keeper;

    if (!check_reply(&reclaim->call, reply)) {
        if (reclaim->call.with_source)
            send_reclaims(keeper);
        return;
    }
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
        keeper->events->reclaimed(keeper->keys[reclaim->queue].queue, reclaim->consumer, (long)reply->integer,
                                  keeper->user);
    remove_reclaim(keeper, reclaim);
}

static void send_reclaims(struct queue_keeper *keeper)
{
    struct words *words = &keeper->words;

    for (struct reclaim *reclaim = keeper->up ? keeper->reclaims : NULL; reclaim; reclaim = reclaim->next) {
        if (reclaim->call.sent)
            continue;
        call_start(words, &queue_script_reclaim, reclaim->call.with_source, 1);
        call_add_keys(words, &keeper->keys[reclaim->queue]);
        words_add_text(words, reclaim->consumer);
        reclaim->call.sent = redis_send(keeper->redis, words, &reclaim->call.request) == 0;
    }
}

static int add_reclaim(struct queue_keeper *keeper, size_t queue, const char *consumer)
{
    size_t size = strlen(consumer) + 1;
    struct reclaim *reclaim = calloc(1, sizeof(*reclaim) + size);
    struct reclaim **link = &keeper->reclaims;

    if (!reclaim)
        return -ENOMEM;
    reclaim->call.request.done = on_reclaimed;
    reclaim->call.keeper = keeper;
    reclaim->queue = queue;
    memcpy(reclaim->consumer, consumer, size);
    while (*link)
        link = &(*link)->next;
    *link = reclaim;
    return 0;
}

int queue_keeper_reclaim(struct queue_keeper *keeper, const char *consumer)
{
    int r = 0;

    for (size_t i = 0; i < keeper->options->queue_count && r == 0; i++)
        r = add_reclaim(keeper, i, consumer);
    send_reclaims(keeper);
    return r;
}

bool queue_keeper_is_idle(const struct queue_keeper *keeper)
{
    return keeper->reclaims == NULL;
}

/* ---- The connection ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct queue_keeper *keeper = arg;

    (void)fd;
    (void)what;
    send_reclaims(keeper);
    promote(keeper);
}

static void on_groups_made(void *user)
{
    struct queue_keeper *keeper = user;

    keeper->up = true;
    if (!keeper->met) {
        keeper->met = true;
        keeper->events->ready(keeper->user);
    }
    look_in(keeper, 0);
}

static void on_up(void *user)
{
    struct queue_keeper *keeper = user;

    if (group_maker_start(keeper->groups) < 0)
        redis_fail(keeper->redis, strerror(ENOMEM));
}

static void on_down(void *user)
{
    struct queue_keeper *keeper = user;

    keeper->up = false;
}

static void on_problem(const char *problem, void *user)
{
    struct queue_keeper *keeper = user;

    keeper->events->redis_state(problem, keeper->user);
}

static const struct redis_events redis_events = {on_up, on_down, on_problem};

int queue_keeper_new(struct event_base *base, const struct queue_options *options,
                     const struct queue_keeper_events *events, void *user, struct queue_keeper **ret_keeper)
{
    struct queue_keeper *keeper;
    int r;

    if (options->queue_count == 0)
        return -EINVAL;
    keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return -ENOMEM;
    keeper->options = options;
    keeper->events = events;
    keeper->user = user;
    keeper->timer = event_new(base, -1, 0, on_timer, keeper);
    r = keeper->timer ? queue_keys_new_all(options, &keeper->keys) : -ENOMEM;
    if (r == 0)
        r = redis_new(base, options, "weft-keeper", &redis_events, keeper, &keeper->redis);
    if (r == 0)
        r = group_maker_new(keeper->redis, keeper->keys, options->queue_count, on_groups_made, keeper, &keeper->groups);
    if (r < 0) {
        queue_keeper_free(keeper);
        return r;
    }
    *ret_keeper = keeper;
    return 0;
}

struct queue_keeper *queue_keeper_free(struct queue_keeper *keeper)
{
    if (!keeper)
        return NULL;
    redis_free(keeper->redis);
    group_maker_free(keeper->groups);
    queue_keys_free_all(keeper->keys, keeper->options->queue_count);
    while (keeper->reclaims)
        remove_reclaim(keeper, keeper->reclaims);
    if (keeper->timer)
        event_free(keeper->timer);
    words_done(&keeper->words);
    free(keeper);
    return NULL;
}
