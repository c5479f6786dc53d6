/*
 * Locks and fork(): a child has only the thread that forked it, so a lock that another thread held at that moment would
 * stay locked in it for ever. Those registered here are held over the fork, and free in parent and child after it.
 */
#pragma once

#include <pthread.h>

/* Under a lock of one rank, those of later ranks may be taken; never the other way round, nor two of a kind. */
enum fork_lock_rank { FORK_LOCK_OUTERMOST, FORK_LOCK_OUTER, FORK_LOCK_INNER };

/* For FORK_LOCK(). */
void fork_lock_register(pthread_mutex_t *lock, enum fork_lock_rank rank);

/* Registers a static lock of this file before main() begins. */
#define FORK_LOCK(lock_, rank_)                                                                                        \
    __attribute__((constructor)) static void register_lock_for_fork(void)                                              \
    {                                                                                                                  \
        fork_lock_register(&(lock_), (rank_));                                                                         \
    }                                                                                                                  \
    _Static_assert(1, "so that the macro is followed by a semicolon")
