/*
 * The consumer group of each queue: made from the stream's beginning, so that what was enqueued before the first start
 * is run, made anew when somebody flushes Redis, and made in a full Redis too; and left by a consumer that ends.
 */
#pragma once

#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/call.h"

struct group_events {
    /* Redis refuses to make the group of queue number `queue`. NULL: nobody wants to know. */
    void (*refused)(size_t queue, const redisReply *reply, void *user);
    /* Redis has answered for all queues; not called when the connection is lost before. NULL: as above. */
    void (*answered)(void *user);
};

/* Part of a record of the owner's. */
struct group_maker {
    struct queue_calls calls;
    const struct group_events *events;
    void *user;
};

/* What is given is borrowed and must outlive it. Errors: -ENOMEM; group_maker_done() is then harmless. */
int group_maker_init(struct group_maker *maker, const struct queue_link *link, const struct group_events *events,
                     void *user) MUST_CHECK;

/* Not before its connection is freed. Harmless on one that is all zero. */
void group_maker_done(struct group_maker *maker);

/* Starts, unless it is under way. Errors: -ENOTCONN, -ENOMEM. */
int group_maker_start(struct group_maker *maker) MUST_CHECK;

/* Deletes a consumer from the group of each queue, unless jobs are still pending for it. Part of a record of the
 * owner's. */
struct group_leaver {
    struct queue_calls calls;
    void (*done)(void *user);
    void *user;
};

/* `done` is called when each queue has been answered for, or the connection is lost. Whatever the answers are: a
 * consumer that stays is found by those who look after dead ones. What is given is borrowed. Errors: -ENOMEM;
 * group_leaver_done() is then harmless. */
int group_leaver_init(struct group_leaver *leaver, const struct queue_link *link, void (*done)(void *user),
                      void *user) MUST_CHECK;

/* Not before its connection is freed. Harmless on one that is all zero. */
void group_leaver_done(struct group_leaver *leaver);

/* Starts. Errors: -ENOTCONN, -ENOMEM; then `done` is not called. */
int group_leaver_start(struct group_leaver *leaver) MUST_CHECK;
