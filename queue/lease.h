/*
 * The lease: lets Redis know that this consumer lives, while jobs run and nothing is read: in each queue of which it
 * holds a job, and once for all of them in the set of workers. It belongs to the consumer, not to each of its jobs: all
 * that it holds is taken away together, or not at all. In queues of which it holds nothing, others may delete the
 * consumer; its next read makes it anew.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/consumer_name.h"
#include "queue/entry.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

/* How much of a lease others let pass, without a sign of life, until they take the consumer for dead. */
#define LEASE_SILENCE_MS(lease_ms) ((lease_ms) / 4 * 3)

/* How often a consumer gives a sign of life. */
#define LEASE_PERIOD_MS(lease_ms) ((lease_ms) / 4)

struct lease;

/* Everything is borrowed and must outlive what is made of it. */
struct lease_setup {
    struct queue_link link;
    const struct entry_set *held;
    /* Redis has heard of us again after so long, or on a connection so new, that others may have taken our jobs. */
    void (*doubt)(void *user);
    void *user;
};

/* Errors: -ENOMEM, -ENAMETOOLONG. */
int lease_new(const struct lease_setup *setup, struct lease **ret_lease) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct lease *lease_free(struct lease *lease);

/* The connection is up: renews the lease now, and from time to time until the connection is lost. */
void lease_start(struct lease *lease);

/* Renews no more, for good, and takes us off the set of workers: the consumer is about to be deleted, and a renewal
 * would make it anew. */
void lease_stop(struct lease *lease);

/*
 * What workers are called in the set of workers, where each gives its sign of life for all of its queues: its
 * consumer's name and, behind a space, which queues those are. Whoever serves the same queues knows that there is
 * nothing else to be given back, and takes a dead worker off the set.
 */

#define ENLIST_NAME_SIZE (CONSUMER_NAME_SIZE + sizeof(" 0123456789abcdef"))

/* Forms the name. Errors: -ENAMETOOLONG. */
int enlist_format(char *buffer, size_t size, const char *consumer, const struct queue_options *options) MUST_CHECK;

/* Reads the consumer's name off one. Gives whether it is one. */
bool enlist_read(const char *name, char *ret_consumer, size_t size) MUST_CHECK;

/* Whether it is of a worker that has the same queues. */
bool enlist_has_queues(const char *name, const struct queue_options *options);

/* For how long Redis keeps who gives no sign of life; by then everybody has seen it. */
int64_t enlist_kept_ms(const struct queue_options *options);
