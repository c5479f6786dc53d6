#include "queue/lease.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "queue/clock.h"

/* A range of pending entries that is always empty. Reading it is what Redis, of all versions, takes for a sign of life;
 * a read that blocks is one only when it begins. */
#define NO_ENTRIES "18446744073709551615-18446744073709551614"

struct lease {
    struct redis_request request; /* first, so that the one is found from the other; of all queues */
    struct redis *redis;
    const struct queue_keys *keys;
    size_t queue_count;
    const char *consumer;
    int64_t lease_ms;
    void (*doubt)(void *user);
    void *user;
    struct words words;
    struct event *timer;
    bool stopped;
    bool whole;           /* the refresh under way has been sent for all queues */
    size_t outstanding;   /* replies */
    int64_t sent_ms;      /* steady time of the last refresh */
    int64_t confirmed_ms; /* when the last one was sent that Redis has answered; 0: none over this connection */
};

static void set_timer(struct lease *lease)
{
    int64_t ms = LEASE_PERIOD_MS(lease->lease_ms);

    event_add(lease->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void refresh(struct lease *lease)
{
    lease->sent_ms = clock_steady_ms();
    lease->whole = true;
    for (size_t i = 0; i < lease->queue_count; i++) {
        words_start(&lease->words, "XREADGROUP", "GROUP", QUEUE_GROUP, lease->consumer, "COUNT", "1", "STREAMS",
                    lease->keys[i].names[QUEUE_KEY_STREAM], NO_ENTRIES, NULL);
        if (redis_send(lease->redis, &lease->words, &lease->request) == 0)
            lease->outstanding++;
        else
            lease->whole = false;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct lease *lease = arg;

    (void)fd;
    (void)what;
    if (!redis_is_up(lease->redis))
        return;
    if (lease->outstanding == 0)
        refresh(lease);
    set_timer(lease);
}

static void confirm(struct lease *lease)
{
    int64_t silence_ms = clock_steady_ms() - lease->confirmed_ms;
    bool in_doubt = lease->confirmed_ms == 0 || silence_ms > LEASE_SILENCE_MS(lease->lease_ms);

    lease->confirmed_ms = lease->sent_ms;
    if (in_doubt)
        lease->doubt(lease->user);
}

/* A queue that cannot be read, or has no group any more, holds nothing of ours that could be taken away. */
static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct lease *lease = (struct lease *)request;

    lease->outstanding--;
    if (!reply)
        return;
    if (reply_blames_server(reply))
        redis_fail(lease->redis, reply->str);
    else if (lease->outstanding == 0 && lease->whole && redis_is_up(lease->redis))
        confirm(lease);
}

void lease_start(struct lease *lease)
{
    if (lease->stopped)
        return;
    lease->confirmed_ms = 0;
    refresh(lease);
    set_timer(lease);
}

void lease_stop(struct lease *lease)
{
    lease->stopped = true;
    event_del(lease->timer);
}

int lease_new(struct event_base *base, struct redis *redis, const struct queue_options *options,
              const struct queue_keys *keys, const char *consumer, void (*doubt)(void *user), void *user,
              struct lease **ret_lease)
{
    struct lease *lease = calloc(1, sizeof(*lease));

    if (!lease)
        return -ENOMEM;
    lease->request.done = on_reply;
    lease->redis = redis;
    lease->keys = keys;
    lease->queue_count = options->queue_count;
    lease->consumer = consumer;
    lease->lease_ms = options->lease_ms;
    lease->doubt = doubt;
    lease->user = user;
    lease->timer = event_new(base, -1, 0, on_timer, lease);
    if (!lease->timer) {
        free(lease);
        return -ENOMEM;
    }
    *ret_lease = lease;
    return 0;
}

struct lease *lease_free(struct lease *lease)
{
    if (!lease)
        return NULL;
    event_free(lease->timer);
    words_done(&lease->words);
    free(lease);
    return NULL;
}
