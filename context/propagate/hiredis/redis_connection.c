#include "context/propagate/hiredis/redis_connection.h"

#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "context/fork_lock.h"
#include "context/lock.h"
#include "context/propagate/hiredis/redis_channel.h"
#include "context/propagate/hiredis/redis_turn.h"

/* ---- The table ---- */

/* The counts are read without the lock, by a connection's own thread, which has seen to it that they are not 0. */
static struct {
    pthread_mutex_t lock;
    void *tree; /* of struct redis_connection, by key */
    unsigned count;
    unsigned monitoring;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(table.lock, FORK_LOCK_INNER);

static int compare(const void *one, const void *other)
{
    uintptr_t a = (uintptr_t)((const struct redis_connection *)one)->key;
    uintptr_t b = (uintptr_t)((const struct redis_connection *)other)->key;

    return a < b ? -1 : a > b;
}

/* Also of one that is being freed: its own callbacks may still come. */
static struct redis_connection *find(const void *key)
{
    struct redis_connection *connection = redis_turn_ending(key);

    if (connection || __atomic_load_n(&table.count, __ATOMIC_RELAXED) == 0)
        return connection;
    lock_take(&table.lock);
    struct redis_connection **place = tfind(&(struct redis_connection){.key = key}, &table.tree, compare);
    connection = place ? *place : NULL;
    lock_give(&table.lock);
    return connection;
}

struct redis_connection *redis_connection_get(const struct redisAsyncContext *key)
{
    struct redis_connection *connection = find(key);

    if (connection)
        return connection;
    connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->key = key;
    lock_take(&table.lock);
    bool inserted = tsearch(connection, &table.tree, compare) != NULL;
    if (inserted)
        __atomic_store_n(&table.count, table.count + 1, __ATOMIC_RELAXED);
    lock_give(&table.lock);
    if (!inserted) {
        free(connection);
        return NULL;
    }
    return connection;
}

struct redis_connection *redis_connection_monitoring(const struct redisAsyncContext *key)
{
    if (__atomic_load_n(&table.monitoring, __ATOMIC_RELAXED) == 0)
        return NULL;

    struct redis_connection *connection = find(key);
    return connection && connection->monitors ? connection : NULL;
}

void redis_connection_monitor(struct redis_connection *connection)
{
    if (connection->monitors)
        return;
    lock_take(&table.lock);
    connection->monitors = true;
    __atomic_store_n(&table.monitoring, table.monitoring + 1, __ATOMIC_RELAXED);
    lock_give(&table.lock);
}

void redis_connection_keep(struct redis_connection *connection, struct redis_call *call)
{
    SLIST_INSERT_HEAD(&connection->kept, call, next);
}

struct redis_connection *redis_connection_take(const void *key)
{
    struct redis_connection *connection = find(key);

    if (!connection)
        return NULL;
    lock_take(&table.lock);
    (void)tdelete(connection, &table.tree, compare);
    __atomic_store_n(&table.count, table.count - 1, __ATOMIC_RELAXED);
    if (connection->monitors)
        __atomic_store_n(&table.monitoring, table.monitoring - 1, __ATOMIC_RELAXED);
    lock_give(&table.lock);
    return connection;
}

void redis_connection_end(struct redis_connection *connection)
{
    redis_channels_done(connection);
    for (enum redis_hook_kind kind = 0; kind < REDIS_HOOK_KINDS; kind++)
        redis_hook_end(connection->hooks[kind]);
    while (!SLIST_EMPTY(&connection->kept)) {
        struct redis_call *call = SLIST_FIRST(&connection->kept);

        SLIST_REMOVE_HEAD(&connection->kept, next);
        redis_call_end(call, connection->key);
    }
    free(connection);
}

/* ---- Hooks ---- */

struct redis_hook {
    struct operation operation;
    redis_any_fn *fn;
    bool is_running;
    bool has_ended; /* while it was running */
};

static void describe_connect(const struct operation *operation, char *buffer)
{
    (void)operation;
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "redis connect");
}

static void describe_disconnect(const struct operation *operation, char *buffer)
{
    (void)operation;
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "redis disconnect");
}

static void describe_push(const struct operation *operation, char *buffer)
{
    (void)operation;
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "redis push");
}

static const struct operation_class classes[] = {
    [REDIS_HOOK_CONNECT] = {.kind = "redis", .describe = describe_connect},
    [REDIS_HOOK_DISCONNECT] = {.kind = "redis", .describe = describe_disconnect},
    [REDIS_HOOK_PUSH] = {.kind = "redis", .describe = describe_push},
};

/* A connection is often made by one thread and handed to another. */
struct redis_hook *redis_hook_new(enum redis_hook_kind kind, redis_any_fn *fn, const void *place)
{
    struct redis_hook *hook = calloc(1, sizeof(*hook));

    if (!hook)
        return NULL;
    hook->fn = fn;
    operation_begin(&hook->operation, &classes[kind], place, OPERATION_ELSEWHERE);
    return hook;
}

void redis_hook_end(struct redis_hook *hook)
{
    if (!hook)
        return;
    hook->has_ended = true;
    if (hook->is_running)
        return;
    operation_end(&hook->operation);
    free(hook);
}

/* What the connection had until now; from now on it has `hook`. */
static struct redis_hook *replace(const struct redisAsyncContext *key, enum redis_hook_kind kind,
                                  struct redis_hook *hook)
{
    struct redis_connection *connection = find(key);

    if (!connection)
        return NULL;
    struct redis_hook *old = connection->hooks[kind];
    connection->hooks[kind] = hook;
    return old;
}

void redis_hook_set(const struct redisAsyncContext *key, enum redis_hook_kind kind, struct redis_hook *hook)
{
    redis_hook_end(replace(key, kind, hook));
}

static struct redis_hook *hook_of(const struct redisAsyncContext *key, enum redis_hook_kind kind)
{
    const struct redis_connection *connection = find(key);

    return connection ? connection->hooks[kind] : NULL;
}

redis_any_fn *redis_hook_function(const struct redisAsyncContext *key, enum redis_hook_kind kind)
{
    const struct redis_hook *hook = hook_of(key, kind);

    return hook ? hook->fn : NULL;
}

static void enter(struct redis_hook *hook, struct current *saved)
{
    hook->is_running = true;
    operation_enter(&hook->operation, saved);
}

static void leave(struct redis_hook *hook, const struct current *saved)
{
    operation_leave(&hook->operation, saved);
    hook->is_running = false;
    if (hook->has_ended)
        redis_hook_end(hook);
}

/* One that is called once: the connection does not have it any more when it runs. */
static struct redis_hook *enter_last(const struct redisAsyncContext *key, enum redis_hook_kind kind,
                                     struct current *saved)
{
    struct redis_hook *hook = replace(key, kind, NULL);

    if (!hook)
        return NULL;
    hook->has_ended = true;
    enter(hook, saved);
    return hook;
}

void redis_hook_connected(const struct redisAsyncContext *key, int status)
{
    struct current saved;
    struct redis_hook *hook = enter_last(key, REDIS_HOOK_CONNECT, &saved);

    if (!hook)
        return;
    ((redis_status_fn *)hook->fn)(key, status);
    leave(hook, &saved);
}

void redis_hook_connected_mutable(struct redisAsyncContext *key, int status)
{
    struct current saved;
    struct redis_hook *hook = enter_last(key, REDIS_HOOK_CONNECT, &saved);

    if (!hook)
        return;
    ((redis_status_mutable_fn *)hook->fn)(key, status);
    leave(hook, &saved);
}

void redis_hook_disconnected(const struct redisAsyncContext *key, int status)
{
    struct current saved;
    struct redis_hook *hook = enter_last(key, REDIS_HOOK_DISCONNECT, &saved);

    if (!hook)
        return;
    ((redis_status_fn *)hook->fn)(key, status);
    leave(hook, &saved);
}

void redis_hook_pushed(struct redisAsyncContext *key, void *reply)
{
    struct current saved;
    struct redis_hook *hook = hook_of(key, REDIS_HOOK_PUSH);

    if (!hook)
        return;
    enter(hook, &saved);
    ((redis_push_fn *)hook->fn)(key, reply);
    leave(hook, &saved);
}
