/*
 * The supervisor's side of the queues: promotes jobs that have come due and gives the jobs of dead consumers back.
 *
 * Nothing here waits; events arrive from the event loop.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "queue/options.h"

struct queue_keeper;

struct queue_keeper_events {
    /* The first Redis round trip has succeeded (once). */
    void (*ready)(void *user);
    /* As in queue_events. */
    void (*redis_state)(const char *problem, void *user);
    /* A dead consumer's jobs are back in the queue `queue`: `count` of them. */
    void (*reclaimed)(const char *queue, const char *consumer, long count, void *user);
};

int queue_keeper_new(struct event_base *base, const struct queue_options *options,
                     const struct queue_keeper_events *events, void *user, struct queue_keeper **ret_keeper)
    __attribute__((warn_unused_result));
struct queue_keeper *queue_keeper_free(struct queue_keeper *keeper);

/* Gives back to their queues all jobs that `consumer` held, uncharged, and deletes the consumer, in one atomic step a
 * queue. Kept and done later while Redis is away. Errors: -ENOMEM. */
int queue_keeper_reclaim(struct queue_keeper *keeper, const char *consumer) __attribute__((warn_unused_result));

/* Whether every dead consumer's jobs have been given back. */
bool queue_keeper_is_idle(const struct queue_keeper *keeper);
