#include "context/propagate/base_home.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "context/fork_lock.h"
#include "context/hash.h"
#include "context/lock.h"

/* ---- The table ---- */

enum { ROW_BITS = 6, ROWS = 1 << ROW_BITS };

static struct {
    pthread_mutex_t lock;
    LIST_HEAD(, base_home) rows[ROWS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(table.lock, FORK_LOCK_INNER);

bool base_locking_is_on;

_Thread_local struct base_homes base_homes_here;
_Thread_local struct base_home *base_home_latest;

static struct base_home *look_for(const struct event_base *base)
{
    struct base_home *home;

    LIST_FOREACH (home, &table.rows[hash_pointer(base, ROW_BITS)], in_table)
        if (home->base == base)
            break;
    return home;
}

struct base_home *base_home_find(const struct event_base *base)
{
    struct base_home *home = base_home_here(base);

    if (home)
        return home;
    lock_take(&table.lock);
    home = look_for(base);
    lock_give(&table.lock);
    return home;
}

struct base_home *base_home_get(struct event_base *base)
{
    struct base_home *found = base_home_find(base);

    if (found)
        return found;
    struct base_home *home = calloc(1, sizeof(*home));
    if (!home)
        return NULL;
    home->base = base;
    home->is_guarded = base_locking();
    operation_home_init(&home->operations);
    lock_take(&table.lock);
    found = look_for(base);
    if (!found)
        LIST_INSERT_HEAD(&table.rows[hash_pointer(base, ROW_BITS)], home, in_table);
    lock_give(&table.lock);
    if (!found)
        return home;
    operation_home_done(&home->operations);
    free(home);
    return found;
}

void base_home_free(struct base_home *home)
{
    if (!home)
        return;
    lock_take(&table.lock);
    LIST_REMOVE(home, in_table);
    lock_give(&table.lock);
    if (base_home_latest == home)
        base_home_latest = NULL;
    operation_home_move(&home->operations);
    operation_home_done(&home->operations);
    free(home);
}

/* ---- Running ---- */

/* The one place where the state changes. With the lock held. */
static void change_state(struct base_home *home, enum base_state state)
{
    __atomic_store_n(&home->state, state, __ATOMIC_RELAXED);
    home->runner = state == BASE_RUNS ? operation_this_thread() : NULL;
    if (home->is_guarded)
        return;
    if (state == BASE_RUNS)
        operation_home_take(&home->operations);
    else
        operation_home_give(&home->operations);
}

bool base_home_run(struct base_home *home)
{
    operation_home_lock(&home->operations);
    bool is_idle = home->state == BASE_IDLE;
    if (is_idle) {
        home->is_guarded = home->is_guarded || base_locking();
        change_state(home, BASE_RUNS);
    }
    operation_home_unlock(&home->operations);
    if (is_idle) {
        LIST_INSERT_HEAD(&base_homes_here, home, here);
        base_home_latest = home;
    }
    return is_idle;
}

/* This thread is not in the loop any more. */
static void leave(struct base_home *home, enum base_state state)
{
    if (base_home_here(home->base) == home)
        LIST_REMOVE(home, here);
    base_home_latest = LIST_FIRST(&base_homes_here);
    operation_home_lock(&home->operations);
    change_state(home, state);
    operation_home_unlock(&home->operations);
}

void base_home_rest(struct base_home *home)
{
    leave(home, BASE_IDLE);
}

void base_home_end(struct base_home *home)
{
    leave(home, BASE_ENDED);
}

struct base_home *base_home_here_of_other(const struct event_base *base)
{
    struct base_home *home;

    LIST_FOREACH (home, &base_homes_here, here)
        if (home->base == base) {
            base_home_latest = home;
            break;
        }
    return home;
}

/* ---- Asking ---- */

bool base_home_runs_elsewhere(const struct base_home *home)
{
    return home->state == BASE_RUNS && home->runner != operation_this_thread();
}

bool base_home_has_ended(const struct base_home *home)
{
    return __atomic_load_n(&home->state, __ATOMIC_RELAXED) == BASE_ENDED;
}

bool base_runs_elsewhere(const struct event_base *base)
{
    if (base_home_here(base))
        return false;

    struct base_home *home = base_home_find(base);
    if (!home)
        return false;
    operation_home_lock(&home->operations);
    bool elsewhere = base_home_runs_elsewhere(home);
    operation_home_unlock(&home->operations);
    return elsewhere;
}
