/*
 * The supervisor's side of the queues: promotes jobs that have come due, finds dead consumers (its own workers and
 * those of other hosts) and gives their jobs back, and settles what a dead worker cannot settle any more.
 *
 * Nothing here waits; events arrive from the event loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/options.h"

struct maintenance;
struct queue_sample;
struct settlement;

/* Why a consumer's jobs were given back. */
enum reclaim_reason {
    RECLAIM_ASKED,   /* by maintenance_reclaim() */
    RECLAIM_DEAD,    /* its processes are dead */
    RECLAIM_EXPIRED, /* its lease is over */
};

/* A stream under the prefix, with jobs in it, that no node reads. */
struct unread_stream {
    const char *key; /* any bytes, and a NUL */
    size_t key_size;
    long long jobs;    /* in it */
    long long delayed; /* that are to come into it */
    int64_t read_ms;   /* when a node has last read it, in Unix time; -1: never */
};

struct maintenance_events {
    /* The first Redis round trip has succeeded (once). */
    void (*ready)(void *user);
    /* As in queue_events. */
    void (*redis_state)(const char *problem, void *user);
    /* Redis's memory is full, or not any more: it takes no new jobs, while those that it has are run. May be NULL. */
    void (*memory_full)(bool full, void *user);
    /* A dead consumer's jobs are back in the queue `queue`: `count` of them. */
    void (*reclaimed)(const char *queue, const char *consumer, long count, enum reclaim_reason reason, void *user);
    /* What maintenance_sample() has asked for: a sample of each queue, in the order of the options, and how long Redis
     * took to answer. May be NULL if it is never called. */
    void (*sampled)(const struct queue_sample *samples, int64_t round_trip_us, void *user);
    /* Nobody reads this; told once, by the node that looks. NULL: nobody wants to know, and none is looked for. */
    void (*unread)(const struct unread_stream *stream, void *user);
};

int maintenance_new(struct event_base *base, const struct queue_options *options,
                    const struct maintenance_events *events, void *user,
                    struct maintenance **ret_maintenance) MUST_CHECK;
struct maintenance *maintenance_free(struct maintenance *maintenance);

/* Gives back to their queues all jobs that `consumer` held, uncharged, and deletes the consumer, in slices, each
 * of which is one atomic step. Kept and done later while Redis is away. Consumers that are dead are found and reclaimed
 * without being asked for: at once if neither they nor their supervisor live on this host, else when their lease is
 * over. Errors: -ENOMEM.
 */
int maintenance_reclaim(struct maintenance *maintenance, const char *consumer) MUST_CHECK;

/* Settles a job for a worker that cannot do it any more, as queue_client_settle() would have; copied, and written to
 * Redis before anything is reclaimed that was asked for later. Errors: -ENOMEM; -EINVAL: its queue is not one of ours.
 */
int maintenance_settle(struct maintenance *maintenance, const struct settlement *settlement) MUST_CHECK;

/* Asks how full the next `queues` queues are, in turn; nothing comes of it where Redis is away. */
void maintenance_sample(struct maintenance *maintenance, size_t queues);

/* Whether all has been done: every dead consumer's jobs have been given back, and what was settled is written. */
bool maintenance_is_idle(const struct maintenance *maintenance);
