#include "context/fork_lock.h"

#include <assert.h>
#include <stddef.h>

#include "context/lock.h"

enum { LOCKS_MAX = 64 };

/* Written before main() begins, while there is one thread. */
static struct {
    pthread_mutex_t *lock;
    enum fork_lock_rank rank;
} locks[LOCKS_MAX];
static size_t lock_count;

static void hold_rank(enum fork_lock_rank rank)
{
    for (size_t i = 0; i < lock_count; i++)
        if (locks[i].rank == rank)
            lock_take(locks[i].lock);
}

static void hold_all(void)
{
    hold_rank(FORK_LOCK_OUTERMOST);
    hold_rank(FORK_LOCK_OUTER);
    hold_rank(FORK_LOCK_INNER);
}

static void let_go_of_all(void)
{
    for (size_t i = lock_count; i > 0; i--)
        lock_give(locks[i - 1].lock);
}

void fork_lock_register(pthread_mutex_t *lock, enum fork_lock_rank rank)
{
    if (lock_count == 0)
        (void)pthread_atfork(hold_all, let_go_of_all, let_go_of_all);
    assert(lock_count < LOCKS_MAX);
    locks[lock_count].lock = lock;
    locks[lock_count].rank = rank;
    lock_count++;
}
