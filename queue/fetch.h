/*
 * Fetching: reads new jobs of all queues over a connection of its own, as there is room for them, the queues by their
 * weights. While there is work it reads without blocking; when there is none, it waits inside Redis.
 *
 * What it hands over belongs to this consumer from then on. After a lost connection it looks for entries that Redis
 * has given us but that never arrived.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/arrival.h"
#include "queue/redis.h"

struct fetch;

/* Where jobs go; borrowed, all of it. */
struct fetch_target {
    struct trouble *trouble;
    const struct message_limits *limits;
    struct entry_set *held; /* gets each entry that arrives */
    const struct arrival_events *arrivals;
    void *arrivals_user;
    void (*wake)(void *user); /* fetch_continue() is to be called, soon and from the event loop */
    void *user;
};

/* What is given is borrowed and must outlive it. The owner of `redis` passes its up on with fetch_start(), and its down
 * with fetch_interrupt(). Errors: -ENOMEM. */
int fetch_new(struct event_base *base, struct redis *redis, const struct queue_options *options,
              const struct queue_keys *keys, const char *consumer, const struct fetch_target *target,
              struct fetch **ret_fetch) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct fetch *fetch_free(struct fetch *fetch);

void fetch_start(struct fetch *fetch);
void fetch_interrupt(struct fetch *fetch);

/* Adds places. */
void fetch_add_room(struct fetch *fetch, unsigned places);

/* Reads if there is room and no read is under way. */
void fetch_continue(struct fetch *fetch);

/* Does not read a queue for a while. */
void fetch_leave_alone(struct fetch *fetch, size_t queue);

/* Starts no more reads. */
void fetch_stop(struct fetch *fetch);

/* Whether a read is under way. */
bool fetch_is_reading(const struct fetch *fetch);

/* For a watchdog, which asks from time to time: false if it has been found for more than 5 s that there is room and a
 * connection, that `may_read` says so too, and that yet nothing is read. */
bool fetch_is_moving(struct fetch *fetch, bool may_read);
