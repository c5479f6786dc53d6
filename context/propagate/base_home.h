/*
 * Bases: what belongs to an event base is in one place, and its home says who may touch it.
 *
 * A base that libevent does not lock is its user's to keep to one thread at a time. While its loop runs, the thread
 * that runs it touches its records without a lock, which is what makes following cheap; in between, whoever has the
 * lock of its home does. With libevent's locking on, any thread may add and delete at any time, and so the lock is
 * needed at any time.
 *
 * What nobody but the running thread may do is replace an event's callback: the loop reads callback and argument one
 * after the other, without a lock.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "context/async/operation.h"

struct event_base;
struct wrapped_event;

enum base_state {
    BASE_IDLE,  /* no thread is in its loop */
    BASE_RUNS,  /* one is */
    BASE_ENDED, /* it is being freed: its loop runs nothing any more */
};

/* For as long as the base lives. */
struct base_home {
    struct operation_home operations;
    struct event_base *base;
    enum base_state state; /* changed by change_state() only, with the lock of `operations` held */
    bool is_guarded;       /* libevent's locking is on: the lock is needed while the loop runs, too */
    const void *runner;    /* of BASE_RUNS: operation_this_thread() there */
    /* The record whose callback the loop is running for what was the last time when it began. The runner's. */
    struct wrapped_event *firing;
    LIST_HEAD(, wrapped_event) husks; /* under the lock: see wrapped_event.h */
    LIST_ENTRY(base_home) here;       /* of the runner's thread */
    LIST_ENTRY(base_home) in_table;
};

/* The home of a base; made if need be, NULL when there is no memory. */
struct base_home *base_home_get(struct event_base *base);

/* The same, or NULL: it has none. */
struct base_home *base_home_find(const struct event_base *base);

/* Takes the home out of the table, so that another base may have the address, and frees it. What has not ended by then,
 * such as bufferevents that outlive their base, moves to where it belongs to no base. Takes NULL. */
void base_home_free(struct base_home *home);

/* This thread is about to run the loop; false: it runs already, here or elsewhere, and libevent will refuse. */
bool base_home_run(struct base_home *home);

/* The loop has returned. */
void base_home_rest(struct base_home *home);

/* The base is about to be freed: nothing can be handed to its loop any more. That loop may be running, in a child
 * process that was forked by a callback and will not return to it. */
void base_home_end(struct base_home *home);

/* Homes whose loops this thread is in, the latest first, and the one that was asked for last. A fiber that waits inside
 * a callback leaves its loop in the list while others go on. */
LIST_HEAD(base_homes, base_home);
extern _Thread_local struct base_homes base_homes_here;
extern _Thread_local struct base_home *base_home_latest;

struct base_home *base_home_here_of_other(const struct event_base *base);

/* The home of a base whose loop this thread is in, or NULL. */
static inline struct base_home *base_home_here(const struct event_base *base)
{
    return base_home_latest && base_home_latest->base == base ? base_home_latest : base_home_here_of_other(base);
}

/* The home of a base that this thread alone may touch now, or NULL: see base_home_lock(). */
static inline struct base_home *base_home_own(const struct event_base *base)
{
    struct base_home *home = base_home_here(base);

    return home && !home->is_guarded ? home : NULL;
}

/* Whether base_home_end() has been called. */
bool base_home_has_ended(const struct base_home *home);

/* Whether another thread runs the loop. With the lock held, unless it is this thread that does. */
bool base_home_runs_elsewhere(const struct base_home *home);

/* The same for any base, at this moment. */
bool base_runs_elsewhere(const struct event_base *base);

/* Whether libevent's locking is on: what bases are made from now on may be used by several threads at once. */
extern bool base_locking_is_on;

static inline bool base_locking(void)
{
    return __builtin_expect(__atomic_load_n(&base_locking_is_on, __ATOMIC_RELAXED), 0);
}
