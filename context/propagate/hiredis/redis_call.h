/*
 * Calls: commands for Redis whose callbacks hiredis calls by way of a record of ours. One that was sent at the root has
 * a record too where hiredis may call it more than once; its operation has not begun.
 */
#pragma once

#include <sys/queue.h>

#include "context/propagate/hiredis/redis_command.h"
#include "context/propagate/hiredis/redis_library.h"
#include "context/propagate/propagate.h"

enum { REDIS_CALL_NAME_SIZE = 24 };

struct redis_connection;

struct redis_call {
    struct operation operation;
    redis_reply_fn *fn;
    void *arg;
    struct redis_connection *connection; /* of one that is called more than once */
    unsigned running;                    /* calls of `fn` that have not returned */
    unsigned channels;                   /* how many subscriptions have it as their callback */
    bool has_ended;
    SLIST_ENTRY(redis_call) next; /* in a list of those that are kept */
    char name[REDIS_CALL_NAME_SIZE];
};

/* A record for a command that is about to be sent, in the current context. NULL when there is no memory. */
struct redis_call *redis_call_new(redis_reply_fn *fn, void *arg, const struct redis_word *name, const void *place);

/* Ends it, and releases its context. `connection` is the one that it was sent on. */
void redis_call_end(struct redis_call *call, const struct redisAsyncContext *connection);

/* Calls the user's function, in its context. */
void redis_call_run(struct redis_call *call, struct redisAsyncContext *connection, void *reply);

/* What hiredis calls with a struct redis_call for commands that have one reply, and for those that last. */
void redis_call_answer(struct redisAsyncContext *connection, void *reply, void *call);
void redis_call_answer_again(struct redisAsyncContext *connection, void *reply, void *call);
