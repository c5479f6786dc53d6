/*
 * What is known of hiredis's connections: those that subscribe, monitor, or have a callback of their own that is
 * followed. The others have no record.
 */
#pragma once

#include "context/propagate/hiredis/redis_call.h"

enum redis_hook_kind { REDIS_HOOK_CONNECT, REDIS_HOOK_DISCONNECT, REDIS_HOOK_PUSH, REDIS_HOOK_KINDS };

/* A connection's own callback, in the context of the code that set it. */
struct redis_hook;

/* In the hands of the thread that the connection is on. */
struct redis_connection {
    const struct redisAsyncContext *key; /* hiredis's */
    bool monitors;
    struct redis_hook *hooks[REDIS_HOOK_KINDS];
    void *channels;                /* see redis_channel.h */
    SLIST_HEAD(, redis_call) kept; /* calls that hiredis knows until the connection's end */
};

/* The record of a connection; made if need be, NULL when there is no memory. */
struct redis_connection *redis_connection_get(const struct redisAsyncContext *key);

/* The record, if the connection monitors; else NULL. */
struct redis_connection *redis_connection_monitoring(const struct redisAsyncContext *key);

/* The connection has begun to monitor. */
void redis_connection_monitor(struct redis_connection *connection);

/* Keeps a call until the connection's end, and ends it then. */
void redis_connection_keep(struct redis_connection *connection, struct redis_call *call);

/* hiredis is about to forget the connection: takes its record out of the table before another one can have the address.
 * NULL: there is none. */
struct redis_connection *redis_connection_take(const void *key);

/* hiredis has forgotten it: everything that belongs to it ends. */
void redis_connection_end(struct redis_connection *connection);

/* ---- Hooks ---- */

typedef void redis_any_fn(void);

/* A hook for the current context. NULL when there is no memory. */
struct redis_hook *redis_hook_new(enum redis_hook_kind kind, redis_any_fn *fn, const void *place);

/* Ends it. Takes NULL. */
void redis_hook_end(struct redis_hook *hook);

/* The connection has it from now on (NULL: none), instead of what it had. One without a record has none. */
void redis_hook_set(const struct redisAsyncContext *key, enum redis_hook_kind kind, struct redis_hook *hook);

/* The user's function behind the hook that the connection has, or NULL. */
redis_any_fn *redis_hook_function(const struct redisAsyncContext *key, enum redis_hook_kind kind);

/* What hiredis calls instead of the user's functions. */
void redis_hook_connected(const struct redisAsyncContext *key, int status);
void redis_hook_connected_mutable(struct redisAsyncContext *key, int status);
void redis_hook_disconnected(const struct redisAsyncContext *key, int status);
void redis_hook_pushed(struct redisAsyncContext *key, void *reply);
