/* pthread_create and thrd_create: a thread runs in the context of the call that started it. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <threads.h>

#include "context/async/running_job.h"
#include "context/propagate/libc/sanitizer.h"
#include "context/propagate/linked.h"
#include "context/task/signal_stack.h"

PROPAGATE_LINKED(threads);

SANITIZED(pthread_create);
SANITIZED(thrd_create);

/* A thread that is followed, from its creation to its end. */
struct thread {
    struct operation operation;
    union {
        void *(*pthread)(void *arg);
        thrd_start_t thrd;
    } start;
    void *arg;
    struct current saved;
    struct signal_stack signal_stack;
    atomic_uintptr_t running_job;
};

static const struct operation_class thread_class = {.kind = "thread"};

static struct thread *thread_new(void *arg, const void *place)
{
    struct thread *thread = calloc(1, sizeof(*thread));

    if (!thread)
        return NULL;
    thread->arg = arg;
    operation_begin(&thread->operation, &thread_class, place, OPERATION_ELSEWHERE);
    return thread;
}

static void thread_free(struct thread *thread)
{
    operation_end(&thread->operation);
    free(thread);
}

/* Without a stack for signals it works all the same. */
static void begin(struct thread *thread)
{
    (void)!signal_stack_init(&thread->signal_stack);
    running_job_install(&thread->running_job);
    operation_enter(&thread->operation, &thread->saved);
}

/* However it ends: by returning, by pthread_exit(), by being cancelled. */
static void end(void *arg)
{
    struct thread *thread = arg;

    operation_leave(&thread->operation, &thread->saved);
    operation_end(&thread->operation);
    running_job_install(NULL);
    signal_stack_done(&thread->signal_stack);
    thread_free(thread);
}

static void *run_pthread(void *arg)
{
    struct thread *thread = arg;
    void *result;

    begin(thread);
    pthread_cleanup_push(end, thread);
    result = thread->start.pthread(thread->arg);
    pthread_cleanup_pop(1);
    return result;
}

static int run_thrd(void *arg)
{
    struct thread *thread = arg;
    int result;

    begin(thread);
    pthread_cleanup_push(end, thread);
    result = thread->start.thrd(thread->arg);
    pthread_cleanup_pop(1);
    return result;
}

PROPAGATE_EXPORT int pthread_create(pthread_t *ret_id, const pthread_attr_t *attributes, void *(*start)(void *arg),
                                    void *arg)
{
    if (!propagate_follows_thread((const void *)(uintptr_t)start, arg))
        return REAL_OR_SANITIZED(pthread_create)(ret_id, attributes, start, arg);

    struct thread *thread = thread_new(arg, OPERATION_PLACE());
    if (!thread)
        return EAGAIN;
    thread->start.pthread = start;
    int error = REAL_OR_SANITIZED(pthread_create)(ret_id, attributes, run_pthread, thread);
    if (error)
        thread_free(thread);
    return error;
}

PROPAGATE_EXPORT int thrd_create(thrd_t *ret_id, thrd_start_t start, void *arg)
{
    if (!propagate_follows_thread((const void *)(uintptr_t)start, arg))
        return REAL_OR_SANITIZED(thrd_create)(ret_id, start, arg);

    struct thread *thread = thread_new(arg, OPERATION_PLACE());
    if (!thread)
        return thrd_nomem;
    thread->start.thrd = start;
    int result = REAL_OR_SANITIZED(thrd_create)(ret_id, run_thrd, thread);
    if (result != thrd_success)
        thread_free(thread);
    return result;
}
