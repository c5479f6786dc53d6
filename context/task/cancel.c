#include "context/task/cancel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "context/async/running_job.h"
#include "context/lock.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"

/* A function that was registered. */
struct cancel_call {
    struct cancel_call *next;
    void (*fn)(void *arg);
    void *arg;
    struct weft_context *context;
    struct weft_task *task;
    const void *owner;
};

/* Registering and cancelling are rare next to what they are about, so that one lock for all is enough. It guards the
 * lists of all tasks, and what is being called now. Only the loops' threads call. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t called = PTHREAD_COND_INITIALIZER;
static struct cancel_call *calling; /* the newest first */

/* The task whose code this is, whether on its fiber or on a thread of the pool; `*ret_owner` tells which. */
static struct weft_task *task_here(const void **ret_owner)
{
    struct weft_task *task = weft_task_current();

    *ret_owner = NULL;
    if (!task) {
        task = offload_task_here();
        *ret_owner = task ? offload_thread_here() : NULL;
    }
    return task;
}

/* ---- Calling ---- */

static void call(struct cancel_call *cancel)
{
    struct weft_loop *loop = cancel->task->loop;
    struct weft_task *running = loop->running;
    struct current saved;

    /* It is no part of the task that may have brought this about, and must not wait as such. */
    loop->running = NULL;
    current_enter(&saved, weft_context_ref(cancel->context));
    running_job_set(cancel->context);
    cancel->fn(cancel->arg);
    current_leave(&saved);
    running_job_set(current_state.context);
    loop->running = running;
}

static void leave_calling(const struct cancel_call *cancel)
{
    struct cancel_call **link = &calling;

    while (*link != cancel)
        link = &(*link)->next;
    *link = cancel->next;
}

void cancel_tell(struct weft_task *task)
{
    lock_take(&lock);
    while (task->cancel_calls) {
        struct cancel_call *cancel = task->cancel_calls;

        task->cancel_calls = cancel->next;
        cancel->next = calling;
        calling = cancel;
        lock_give(&lock);
        call(cancel);
        lock_take(&lock);
        leave_calling(cancel);
        (void)pthread_cond_broadcast(&called);
        lock_give(&lock);
        (void)weft_context_unref(cancel->context);
        free(cancel);
        lock_take(&lock);
    }
    lock_give(&lock);
}

/* ---- Registering ---- */

int weft_on_cancel(void (*fn)(void *arg), void *arg)
{
    const void *owner;
    struct weft_task *task = task_here(&owner);

    if (!task)
        return task_result(-EDEADLK);
    if (!fn)
        return task_result(-EINVAL);
    struct cancel_call *cancel = malloc(sizeof(*cancel));
    if (!cancel)
        return task_result(-ENOMEM);
    *cancel = (struct cancel_call){.fn = fn, .arg = arg, .context = weft_capture(), .task = task, .owner = owner};

    /* Whoever interrupts the task says so first and then looks at the list. */
    lock_take(&lock);
    int r = task->interruption;
    if (r == 0) {
        cancel->next = task->cancel_calls;
        task->cancel_calls = cancel;
    }
    lock_give(&lock);
    if (r < 0) {
        (void)weft_context_unref(cancel->context);
        free(cancel);
    }
    return task_result(r);
}

struct pattern {
    const void *owner;
    bool all;
    void (*fn)(void *arg);
    void *arg;
};

static bool matches(const struct cancel_call *cancel, const struct pattern *pattern)
{
    return cancel->owner == pattern->owner &&
           (pattern->all || (cancel->fn == pattern->fn && cancel->arg == pattern->arg));
}

static bool is_being_called(const struct weft_task *task, const struct pattern *pattern)
{
    for (const struct cancel_call *cancel = calling; cancel; cancel = cancel->next)
        if (cancel->task == task && matches(cancel, pattern))
            return true;
    return false;
}

/* Takes off the last one that matches, or all. Gives whether there was one. */
static bool drop(struct weft_task *task, const struct pattern *pattern)
{
    struct cancel_call *dropped = NULL;

    lock_take(&lock);
    for (struct cancel_call **link = &task->cancel_calls; *link && (pattern->all || !dropped);) {
        struct cancel_call *cancel = *link;

        if (!matches(cancel, pattern)) {
            link = &cancel->next;
            continue;
        }
        *link = cancel->next;
        cancel->next = dropped;
        dropped = cancel;
    }
    /* On the loop's thread it is this very call that may be called. */
    while (pattern->owner && (pattern->all || !dropped) && is_being_called(task, pattern))
        (void)pthread_cond_wait(&called, &lock);
    lock_give(&lock);

    bool found = dropped != NULL;
    while (dropped) {
        struct cancel_call *cancel = dropped;

        dropped = cancel->next;
        (void)weft_context_unref(cancel->context);
        free(cancel);
    }
    return found;
}

int weft_off_cancel(void (*fn)(void *arg), void *arg)
{
    struct pattern pattern = {.fn = fn, .arg = arg};
    struct weft_task *task = task_here(&pattern.owner);

    if (!task)
        return task_result(-EDEADLK);
    return drop(task, &pattern) ? 0 : task_result(-ENOENT);
}

void cancel_leave(struct weft_task *task, const void *owner)
{
    (void)drop(task, &(struct pattern){.owner = owner, .all = true});
}

/* ---- Asking ---- */

bool weft_is_cancelled(void)
{
    const void *owner;
    const struct weft_task *task = task_here(&owner);

    return task && task->interruption < 0;
}

int64_t weft_deadline_ms(void)
{
    const void *owner;
    const struct weft_task *task = task_here(&owner);

    if (!task || task->deadline_us == 0)
        return -1;
    int64_t left_us = task->deadline_us - time_steady_us();
    return left_us > 0 ? (left_us + 999) / 1000 : 0;
}
