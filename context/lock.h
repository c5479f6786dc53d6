/*
 * Locks. While a thread holds one of ours it cannot be cancelled: whatever is a cancellation point (and what a sink of
 * the log or somebody's resolver calls may well be one) would end it with the lock taken, and all others would wait for
 * ever. A cancellation that arrives meanwhile takes effect at the next cancellation point after the last lock is given
 * back. No lock is held across a wait of a fiber.
 *
 * Where nothing is called under a lock but what touches memory, there is nothing to keep from being cancelled, and
 * lock_take_briefly() takes half as long.
 */
#pragma once

#include <pthread.h>

extern _Thread_local unsigned uncancellable_depth;
extern _Thread_local int uncancellable_before;

/* From now on, until uncancellable_end(), this thread cannot be cancelled. They nest. */
static inline void uncancellable_begin(void)
{
    if (uncancellable_depth++ == 0)
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &uncancellable_before);
}

static inline void uncancellable_end(void)
{
    if (--uncancellable_depth == 0)
        (void)pthread_setcancelstate(uncancellable_before, NULL);
}

static inline void lock_take(pthread_mutex_t *lock)
{
    uncancellable_begin();
    (void)pthread_mutex_lock(lock);
}

static inline void lock_take_briefly(pthread_mutex_t *lock)
{
    (void)pthread_mutex_lock(lock);
}

static inline void lock_give_briefly(pthread_mutex_t *lock)
{
    (void)pthread_mutex_unlock(lock);
}

/* Gives 0, or EBUSY: it is taken. */
static inline int lock_try(pthread_mutex_t *lock)
{
    uncancellable_begin();
    int error = pthread_mutex_trylock(lock);
    if (error)
        uncancellable_end();
    return error;
}

static inline void lock_give(pthread_mutex_t *lock)
{
    (void)pthread_mutex_unlock(lock);
    uncancellable_end();
}
