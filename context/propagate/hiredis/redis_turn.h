/*
 * Turns: while hiredis handles what has happened on a connection, or is told to end it. It runs at the root, may call a
 * callback again that it has forgotten otherwise, until it returns (0.14 does where a reply belongs to nobody), and may
 * free the connection, which is noticed by what it tells the connection's adapter then.
 */
#pragma once

#include "context/propagate/hiredis/redis_call.h"
#include "context/propagate/hiredis/redis_library.h"

typedef void redis_cleanup_fn(void *data);

/* On the stack of what calls hiredis. */
struct redis_turn {
    struct current saved;
    struct redisAsyncContext *key;
    redis_cleanup_fn *cleanup; /* the adapter's */
    void *data;                /* its argument */
    bool has_ended;            /* the connection: it must not be touched any more */
    struct redis_connection *ending;
    SLIST_HEAD(, redis_call) ended;
    /* Those of this thread. A fiber that waits inside a callback leaves its turn in the list while others go on. */
    LIST_ENTRY(redis_turn) here;
};

void redis_turn_begin(struct redis_turn *turn, struct redisAsyncContext *key);
void redis_turn_end(struct redis_turn *turn);

/* The record of a connection that this thread's turn has ended, though not all has been told yet; or NULL. */
struct redis_connection *redis_turn_ending(const void *key);

/* Keeps the memory of a call that has ended until the turn of its connection is over; false: there is none. */
bool redis_turn_keep(struct redis_call *call, const struct redisAsyncContext *key);
