/*
 * The lease: lets Redis know in every queue that this consumer lives, while jobs run and nothing is read. It belongs to
 * the consumer, not to each of its jobs: all that it holds is taken away together, or not at all.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/keys.h"
#include "queue/redis.h"

/* How much of a lease others let pass, without a sign of life, until they take the consumer for dead. */
#define LEASE_SILENCE_MS(lease_ms) ((lease_ms) / 4 * 3)

/* How often a consumer gives a sign of life. */
#define LEASE_PERIOD_MS(lease_ms) ((lease_ms) / 4)

struct lease;

/* `doubt` is called when Redis has heard of us again after so long, or on a connection so new, that others may have
 * taken our jobs meanwhile. What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int lease_new(struct event_base *base, struct redis *redis, const struct queue_options *options,
              const struct queue_keys *keys, const char *consumer, void (*doubt)(void *user), void *user,
              struct lease **ret_lease) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct lease *lease_free(struct lease *lease);

/* The connection is up: refreshes the lease now, and from time to time until the connection is lost. */
void lease_start(struct lease *lease);

/* Refreshes no more, for good: the consumer is about to be deleted, and a refresh would make it anew. */
void lease_stop(struct lease *lease);
