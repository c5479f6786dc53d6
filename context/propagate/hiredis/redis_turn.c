#include "context/propagate/hiredis/redis_turn.h"

#include <pthread.h>
#include <stdlib.h>

#include "context/fork_lock.h"
#include "context/lock.h"
#include "context/propagate/hiredis/redis_connection.h"

static _Thread_local LIST_HEAD(, redis_turn) turns;

/* ---- Where a connection keeps its adapter ---- */

/* The layout differs between hiredis's versions, and the library that was loaded need not be the one whose header is
 * installed. What it keeps there is found beside the disconnect callback, whose place is found out by setting it. */
static struct {
    pthread_mutex_t lock;
    size_t data, cleanup; /* offsets; 0: not known yet */
} layout = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(layout.lock, FORK_LOCK_INNER);

static void measure(void)
{
    /* It cannot be connected to, and does not wait. */
    struct redisAsyncContext *probe = REAL(redisAsyncConnectUnix)("/");
    void *const *words = (void *)probe;
    size_t place = 0;

    if (!probe)
        return;
    if (REAL(redisAsyncSetDisconnectCallback)(probe, redis_hook_disconnected) == REDIS_LIBRARY_OK) {
        while (words[place] != (void *)(uintptr_t)redis_hook_disconnected)
            place++;
        /* Since 1.0 there is one more function between the two. */
        size_t cleanup = place - (propagate_has("redisAsyncSetTimeout") ? 2 : 1);
        layout.data = (cleanup - 5) * sizeof(void *);
        __atomic_store_n(&layout.cleanup, cleanup * sizeof(void *), __ATOMIC_RELEASE);
    }
    REAL(redisAsyncFree)(probe);
}

static bool is_measured(void)
{
    if (__atomic_load_n(&layout.cleanup, __ATOMIC_ACQUIRE) != 0)
        return true;
    lock_take(&layout.lock);
    if (layout.cleanup == 0)
        measure();
    lock_give(&layout.lock);
    return layout.cleanup != 0;
}

static redis_cleanup_fn **cleanup_of(struct redisAsyncContext *key)
{
    return (redis_cleanup_fn **)(void *)((char *)key + layout.cleanup);
}

static void *data_of(const struct redisAsyncContext *key)
{
    return *(void *const *)(const void *)((const char *)key + layout.data);
}

/* ---- Turns ---- */

/* The outermost of a connection, if there are several: what hiredis has on its stack is in that. */
static struct redis_turn *turn_of(const void *key)
{
    struct redis_turn *turn, *found = NULL;

    LIST_FOREACH (turn, &turns, here)
        if (turn->key == key)
            found = turn;
    return found;
}

/* In place of the adapter's function: the connection is about to be freed. Its own callback for that may still come. */
static void notice(void *data)
{
    struct redis_turn *turn, *outermost = NULL;
    const void *key = NULL;

    LIST_FOREACH (turn, &turns, here) {
        if (turn->data != data || turn->has_ended || (key && turn->key != key))
            continue;
        key = turn->key;
        turn->has_ended = true;
        outermost = turn;
    }
    if (!outermost)
        return;
    outermost->ending = redis_connection_take(outermost->key);
    if (outermost->cleanup)
        outermost->cleanup(data);
}

void redis_turn_begin(struct redis_turn *turn, struct redisAsyncContext *key)
{
    *turn = (struct redis_turn){.key = key};
    if (is_measured()) {
        turn->cleanup = *cleanup_of(key);
        turn->data = data_of(key);
        *cleanup_of(key) = notice;
    }
    LIST_INSERT_HEAD(&turns, turn, here);
    propagate_suspend(&turn->saved);
}

void redis_turn_end(struct redis_turn *turn)
{
    LIST_REMOVE(turn, here);
    if (!turn->has_ended && layout.cleanup != 0 && *cleanup_of(turn->key) == notice)
        *cleanup_of(turn->key) = turn->cleanup;
    if (turn->ending)
        redis_connection_end(turn->ending);
    while (!SLIST_EMPTY(&turn->ended)) {
        struct redis_call *call = SLIST_FIRST(&turn->ended);

        SLIST_REMOVE_HEAD(&turn->ended, next);
        free(call);
    }
    propagate_resume(&turn->saved);
}

struct redis_connection *redis_turn_ending(const void *key)
{
    const struct redis_turn *turn = turn_of(key);

    return turn ? turn->ending : NULL;
}

bool redis_turn_keep(struct redis_call *call, const struct redisAsyncContext *key)
{
    struct redis_turn *turn = turn_of(key);

    if (turn)
        SLIST_INSERT_HEAD(&turn->ended, call, next);
    return turn != NULL;
}
