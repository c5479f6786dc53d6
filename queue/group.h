/*
 * The consumer group of each queue: made from the stream's beginning, so that what was enqueued before the first start
 * is run, and made anew when somebody flushes Redis.
 */
#pragma once

#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

struct group_maker;

struct group_events {
    /* Redis refuses to make the group of queue number `queue`, which may be there all the same. NULL: nobody wants to
     * know. */
    void (*refused)(size_t queue, const redisReply *reply, void *user);
    /* Redis has answered for all queues; not called when the connection is lost before. NULL: as above. */
    void (*answered)(void *user);
};

/* What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int group_maker_new(const struct queue_link *link, const struct group_events *events, void *user,
                    struct group_maker **ret_maker) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct group_maker *group_maker_free(struct group_maker *maker);

/* Starts, unless it is under way. Errors: -ENOTCONN, -ENOMEM. */
int group_maker_start(struct group_maker *maker) MUST_CHECK;
