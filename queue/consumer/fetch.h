/*
 * Fetching: reads new jobs of all queues over a connection of its own, the queues by their weights: no more than there
 * is room for, and no more than are likely to start soon, so that other workers have the rest. While there is work it
 * reads without blocking; when there is none, it waits inside Redis.
 *
 * What it hands over belongs to this consumer from then on. After a lost connection, and where memory was short, it
 * looks for entries that Redis has given us but that never arrived.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/consumer/delivery.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

struct fetch;

/* Where jobs go; borrowed, all of it. */
struct fetch_target {
    const struct message_limits *limits;
    struct entry_set *held; /* gets each entry that arrives */
    const struct delivery_events *delivery_events;
    void *delivery_user;
    struct connection *commands; /* ends a blocking read; freed before what is made of this */
    void (*wake)(void *user);    /* fetch_continue() is to be called, soon and from the event loop */
    void *user;
};

/* What is given is borrowed and must outlive it. The owner of the connection passes its up on with fetch_start(), and
 * its down with fetch_interrupt(). Errors: -ENOMEM. */
int fetch_new(const struct queue_link *link, const struct fetch_target *target, struct fetch **ret_fetch) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct fetch *fetch_free(struct fetch *fetch);

void fetch_start(struct fetch *fetch);
void fetch_interrupt(struct fetch *fetch);

/* How many jobs may be in this process at a time, from their arrival until Redis has confirmed that they are settled: 0
 * at first. */
void fetch_set_capacity(struct fetch *fetch, unsigned jobs);

/* So many of those do not count, until this is called again: Redis does not take their outcomes for now. */
void fetch_forgive(struct fetch *fetch, size_t jobs);

/* A job that was handed over has begun to run, or need not before others are read. To be called once for each. */
void fetch_note_started(struct fetch *fetch);

/* A job that need not be waited for is about to begin all the same, and fetch_note_started() will be called for it
 * again. */
void fetch_note_starting(struct fetch *fetch);

/* Reads if there is room, all that was read has begun to run or will soon, and no read is under way. */
void fetch_continue(struct fetch *fetch);

/* Whether the read under way blocks, and leaves out a queue that can be read meanwhile. */
bool fetch_is_blocked(const struct fetch *fetch);

/* Ends the read that is under way, again and again until it has ended. Where it cannot, the read ends by itself in a
 * while. */
void fetch_unblock(struct fetch *fetch);

/* Looks for entries that Redis has down as ours and that are not held. */
void fetch_recover(struct fetch *fetch);

/* Does not read a queue for a while. */
void fetch_leave_alone(struct fetch *fetch, size_t queue);

/* Starts no more reads. */
void fetch_stop(struct fetch *fetch);

/* Whether a read is under way. */
bool fetch_is_reading(const struct fetch *fetch);

/* For a watchdog, which asks from time to time: false if it has been found for more than 5 s that there is room and a
 * connection, that all that was read has begun to run or will soon, that `may_read` says so too, and that yet nothing
 * is read. */
bool fetch_is_moving(struct fetch *fetch, bool may_read);
