/*
 * The consumer group of each queue: made from the stream's beginning, so that what was enqueued before the first start
 * is run, and made anew when somebody flushes Redis.
 */
#pragma once

#include "queue/keys.h"
#include "queue/redis.h"

struct group_maker;

/* `done` is called when Redis has answered for all queues, though maybe not well for each (reading a queue without a
 * group fails again, and says why); not when the connection is lost before. NULL: nobody wants to
 * know. Errors: -ENOMEM. */
int group_maker_new(struct redis *redis, const struct queue_keys *keys, size_t queue_count, void (*done)(void *user),
                    void *user, struct group_maker **ret_maker) __attribute__((warn_unused_result));

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct group_maker *group_maker_free(struct group_maker *maker);

/* Starts, unless it is under way. Errors: -ENOTCONN, -ENOMEM. */
int group_maker_start(struct group_maker *maker) __attribute__((warn_unused_result));
