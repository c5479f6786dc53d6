#include "context/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "context/fork_guard.h"
#include "context/machinery.h"
#include "context/propagate/propagate.h"
#include "context/signal_stack.h"
#include "context/task.h"
#include "context/witness.h"

/* One call, on the stack of the task that waits for it. */
struct offload_call {
    struct offload_call *next;
    int (*fn)(void *arg);
    void *arg;
    struct weft_context *context; /* the task holds the reference */
    struct weft_task *task;
    int result;
};

struct call_list {
    struct offload_call *first;
    struct offload_call **last;
};

struct offload_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct call_list waiting; /* under the lock */
    struct call_list done;    /* under the lock */
    bool closing;             /* under the lock */
    unsigned idle;            /* under the lock */
    unsigned threads;
    unsigned outstanding;
    pthread_t ids[OFFLOAD_THREADS_MAX];
    int done_fd; /* an eventfd that threads write to */
    struct event *done_event;
};

static void list_init(struct call_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(struct call_list *list, struct offload_call *call)
{
    call->next = NULL;
    *list->last = call;
    list->last = &call->next;
}

static struct offload_call *list_take(struct call_list *list)
{
    struct offload_call *call = list->first;

    if (call) {
        list->first = call->next;
        if (!list->first)
            list->last = &list->first;
    }
    return call;
}

/* ---- On a pool thread ---- */

static struct offload_call *wait_for_work(struct offload_pool *pool)
{
    struct offload_call *call;

    (void)pthread_mutex_lock(&pool->lock);
    pool->idle++;
    while (!(call = list_take(&pool->waiting)) && !pool->closing)
        (void)pthread_cond_wait(&pool->work, &pool->lock);
    pool->idle--;
    (void)pthread_mutex_unlock(&pool->lock);
    return call;
}

MACHINERY_BOTTOM static void run_calls(struct offload_pool *pool)
{
    for (struct offload_call *call = wait_for_work(pool); call; call = wait_for_work(pool)) {
        witness_tell(call->context);
        call->result = weft_run_in(call->context, call->fn, call->arg);
        fork_guard_check();
        witness_tell(NULL);
        (void)pthread_mutex_lock(&pool->lock);
        list_append(&pool->done, call);
        (void)pthread_mutex_unlock(&pool->lock);
        (void)eventfd_write(pool->done_fd, 1);
    }
}

/* A thread without a stack for signals works all the same. */
MACHINERY_BOTTOM static void *thread_main(void *arg)
{
    struct signal_stack signal_stack;
    atomic_uintptr_t witness = 0;
    int r = signal_stack_init(&signal_stack);

    witness_install(&witness);
    run_calls(arg);
    witness_install(NULL);
    if (r == 0)
        signal_stack_done(&signal_stack);
    return NULL;
}

/* ---- On the loop's thread ---- */

/* Signals are the loop thread's business, but for those that the pool's threads bring on themselves. */
static int start_thread(struct offload_pool *pool)
{
    sigset_t others, old;

    signal_stack_others(&others);
    (void)pthread_sigmask(SIG_SETMASK, &others, &old);
    /* A thread serves whoever comes, not only the job that it is started for. */
    struct current saved;
    propagate_suspend(&saved);
    int error = pthread_create(&pool->ids[pool->threads], NULL, thread_main, pool);
    propagate_resume(&saved);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return -EAGAIN;
    pool->threads++;
    return 0;
}

static int submit(struct offload_pool *pool, struct offload_call *call)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool needs_thread = pool->idle == 0 || pool->waiting.first;
    (void)pthread_mutex_unlock(&pool->lock);
    if (needs_thread && pool->threads < OFFLOAD_THREADS_MAX) {
        int r = start_thread(pool);
        if (r < 0 && pool->threads == 0)
            return r;
    }
    if (pool->outstanding++ == 0)
        (void)propagate_event_add(pool->done_event, NULL);

    (void)pthread_mutex_lock(&pool->lock);
    list_append(&pool->waiting, call);
    (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    return 0;
}

static void calls_are_done(evutil_socket_t fd, short what, void *arg)
{
    struct offload_pool *pool = arg;
    eventfd_t count;

    (void)what;
    (void)eventfd_read(fd, &count);
    for (;;) {
        (void)pthread_mutex_lock(&pool->lock);
        struct offload_call *call = list_take(&pool->done);
        (void)pthread_mutex_unlock(&pool->lock);
        if (!call)
            return;
        if (--pool->outstanding == 0)
            (void)propagate_event_del(pool->done_event);
        task_wake(call->task, 0);
    }
}

static const struct operation_class offload_class = {.kind = "thread"};

int weft_offload(int (*fn)(void *arg), void *arg, int *ret_result)
{
    struct weft_task *task = weft_task_current();

    if (!task)
        return task_result(-EDEADLK);
    if (!fn)
        return task_result(-EINVAL);
    if (task->interruption < 0)
        return task_result(task->interruption);

    struct offload_call call = {.fn = fn, .arg = arg, .context = current_state.context, .task = task};
    struct operation operation = {0};
    int r = submit(task->loop->offloads, &call);
    if (r < 0)
        return task_result(r);
    if (current_state.context)
        operation_begin(&operation, &offload_class, OPERATION_PLACE(), OPERATION_BORROWS);
    (void)task_wait_held();
    operation_end(&operation);
    if (ret_result)
        *ret_result = call.result;
    return task_result(task->interruption);
}

/* ---- The pool ---- */

int offload_pool_new(struct event_base *base, struct offload_pool **ret_pool)
{
    struct offload_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    list_init(&pool->waiting);
    list_init(&pool->done);
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    pool->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->done_fd >= 0)
        pool->done_event = event_new(base, pool->done_fd, EV_READ | EV_PERSIST, calls_are_done, pool);
    if (!pool->done_event) {
        (void)offload_pool_free(pool);
        return -ENOMEM;
    }
    *ret_pool = pool;
    return 0;
}

struct offload_pool *offload_pool_free(struct offload_pool *pool)
{
    if (!pool)
        return NULL;
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        (void)pthread_join(pool->ids[i], NULL);
    if (pool->done_event)
        event_free(pool->done_event);
    if (pool->done_fd >= 0)
        (void)close(pool->done_fd);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}
