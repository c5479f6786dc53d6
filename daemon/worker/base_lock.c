#include "daemon/worker/base_lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <event2/thread.h>

#include "context/fork_lock.h"
#include "context/lock.h"

/* Recursive by a count of its own: a mutex that is so by itself knows its thread by a number that a fork changes. */
struct lock {
    pthread_mutex_t mutex;
    const void *owner; /* the thread's `self`; NULL: nobody. Only what a thread has written itself matters to it. */
    unsigned depth;
};

static _Thread_local char self;

/* The base's, which is held over a fork, and so never freed. */
static struct lock of_base = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static bool of_base_is_expected;

FORK_LOCK(of_base.mutex, FORK_LOCK_INNER);

static void take(struct lock *lock)
{
    if (__atomic_load_n(&lock->owner, __ATOMIC_RELAXED) != &self) {
        lock_take(&lock->mutex);
        __atomic_store_n(&lock->owner, &self, __ATOMIC_RELAXED);
    }
    lock->depth++;
}

static void give(struct lock *lock)
{
    if (--lock->depth > 0)
        return;
    __atomic_store_n(&lock->owner, NULL, __ATOMIC_RELAXED);
    lock_give(&lock->mutex);
}

/* ---- As libevent wants them ---- */

static void *alloc_lock(unsigned type)
{
    (void)type;
    if (of_base_is_expected) {
        of_base_is_expected = false;
        return &of_base;
    }
    struct lock *lock = calloc(1, sizeof(*lock));
    if (lock)
        (void)pthread_mutex_init(&lock->mutex, NULL);
    return lock;
}

static void free_lock(void *arg, unsigned type)
{
    struct lock *lock = arg;

    (void)type;
    if (lock == &of_base)
        return;
    (void)pthread_mutex_destroy(&lock->mutex);
    free(lock);
}

static int lock_lock(unsigned mode, void *arg)
{
    struct lock *lock = arg;

    if (!(mode & EVTHREAD_TRY)) {
        take(lock);
        return 0;
    }
    if (__atomic_load_n(&lock->owner, __ATOMIC_RELAXED) != &self) {
        int error = lock_try(&lock->mutex);

        if (error)
            return error;
        __atomic_store_n(&lock->owner, &self, __ATOMIC_RELAXED);
    }
    lock->depth++;
    return 0;
}

static int unlock_lock(unsigned mode, void *arg)
{
    (void)mode;
    give(arg);
    return 0;
}

static void *alloc_condition(unsigned type)
{
    pthread_cond_t *condition = malloc(sizeof(*condition));

    (void)type;
    if (condition)
        (void)pthread_cond_init(condition, NULL);
    return condition;
}

static void free_condition(void *arg)
{
    (void)pthread_cond_destroy(arg);
    free(arg);
}

static int signal_condition(void *arg, int broadcast)
{
    return (broadcast ? pthread_cond_broadcast(arg) : pthread_cond_signal(arg)) ? -1 : 0;
}

/* Gives 1 when the time is over. */
static int wait_condition(void *arg, void *lock_arg, const struct timeval *timeout)
{
    struct lock *lock = lock_arg;
    unsigned depth = lock->depth;
    struct timespec until;
    int error;

    lock->depth = 0;
    __atomic_store_n(&lock->owner, NULL, __ATOMIC_RELAXED);
    if (timeout) {
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += timeout->tv_sec;
        until.tv_nsec += timeout->tv_usec * 1000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        error = pthread_cond_timedwait(arg, &lock->mutex, &until);
    } else {
        error = pthread_cond_wait(arg, &lock->mutex);
    }
    __atomic_store_n(&lock->owner, &self, __ATOMIC_RELAXED);
    lock->depth = depth;
    return error == ETIMEDOUT ? 1 : error ? -1 : 0;
}

static unsigned long thread_id(void)
{
    return (unsigned long)pthread_self();
}

/* ---- Installing ---- */

int base_lock_install(void)
{
    static const struct evthread_lock_callbacks locks = {
        .lock_api_version = EVTHREAD_LOCK_API_VERSION,
        .supported_locktypes = EVTHREAD_LOCKTYPE_RECURSIVE,
        .alloc = alloc_lock,
        .free = free_lock,
        .lock = lock_lock,
        .unlock = unlock_lock,
    };
    static const struct evthread_condition_callbacks conditions = {
        .condition_api_version = EVTHREAD_CONDITION_API_VERSION,
        .alloc_condition = alloc_condition,
        .free_condition = free_condition,
        .signal_condition = signal_condition,
        .wait_condition = wait_condition,
    };

    if (evthread_set_lock_callbacks(&locks) < 0 || evthread_set_condition_callbacks(&conditions) < 0)
        return -EBUSY;
    evthread_set_id_callback(thread_id);
    return 0;
}

void base_lock_expect(void)
{
    of_base_is_expected = true;
}

/* What plugins call to get what there is already. libevent's would complain, and libevent_pthreads need not be there.
 */
__attribute__((visibility("default"))) int evthread_use_pthreads(void)
{
    return 0;
}
