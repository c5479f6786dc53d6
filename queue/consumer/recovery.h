/*
 * Recovery: after a lost connection, reads what Redis has down as this consumer's, to find the entries that got lost on
 * their way here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/call.h"

struct recovery_events {
    /* Entries that are pending for this consumer, most of which it will know. */
    void (*found)(size_t queue, const redisReply *entries, void *user);
    /* All queues have been read to the end, or as far as Redis let us; not called when the connection is lost before.
     */
    void (*done)(bool complete, void *user);
};

/* Part of a record of the owner's. */
struct recovery {
    struct queue_calls calls;
    const struct recovery_events *events;
    void *user;
    bool complete;
    struct recovery_cursor *cursors; /* of each queue */
};

/* What is given is borrowed and must outlive it. Errors: -ENOMEM; recovery_done() is then harmless. */
int recovery_init(struct recovery *recovery, const struct queue_link *link, const struct recovery_events *events,
                  void *user) MUST_CHECK;

/* Not before its connection is freed. Harmless on one that is all zero. */
void recovery_done(struct recovery *recovery);

/* Starts from the beginning. Not while it is under way. */
void recovery_start(struct recovery *recovery);

bool recovery_is_under_way(const struct recovery *recovery);
