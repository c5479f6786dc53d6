#include "context/task/task.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "context/async/running_job.h"
#include "context/boundary.h"
#include "context/container.h"
#include "context/fork_guard.h"
#include "context/job_frame.h"
#include "context/machinery.h"
#include "context/reference.h"
#include "context/task/cancel.h"
#include "context/task/offload.h"

const struct operation_class task_class = {.kind = "task"};

static atomic_long tasks_alive;

long weft_tasks_alive(void)
{
    return atomic_load_explicit(&tasks_alive, memory_order_relaxed);
}

int task_result(int result)
{
    if (result < 0)
        errno = -result;
    return result;
}

/* ---- Handles ---- */

struct weft_task *weft_task_ref(struct weft_task *task)
{
    if (task)
        reference_take(&task->references);
    return task;
}

struct weft_task *weft_task_unref(struct weft_task *task)
{
    if (task && reference_drop(&task->references)) {
        free(task->name);
        free(task);
    }
    return NULL;
}

struct weft_task *weft_task_current(void)
{
    struct weft_loop *loop = loop_current();

    return loop ? loop->running : NULL;
}

/* ---- A task's life ---- */

/* Runs on the task's own stack. */
MACHINERY static void run_function(void *arg)
{
    struct weft_task *task = arg;
    struct weft_loop *loop = task->loop;

    if (task->observed && loop->observer && loop->observer->task_started)
        loop->observer->task_started(task, loop->observer->user);
    struct boundary boundary;
    task->result = boundary_call(task->fn, task->arg, &boundary);
    fork_guard_check();
    if (__builtin_expect(boundary.thrown, 0))
        boundary_report(&boundary, "an exception has ended a task");
    cancel_leave(task, NULL);
    /* Looked up again: the observer may have changed meanwhile. */
    if (task->observed && loop->observer && loop->observer->task_ended)
        loop->observer->task_ended(task, task->result, loop->observer->user);
    task->state = TASK_ENDED;
}

/* Back on the loop's stack, after the function has returned. */
static void end_task(struct weft_task *task)
{
    struct weft_loop *loop = task->loop;

    coroutine_put(loop->coroutines, task->coroutine);
    task->coroutine = NULL;
    while (!SLIST_EMPTY(&task->children)) {
        struct weft_task *child = SLIST_FIRST(&task->children);

        SLIST_REMOVE_HEAD(&task->children, next_child);
        (void)weft_task_unref(child);
    }
    const struct task_joiner *joiner;
    LIST_FOREACH (joiner, &task->joiners, in_task)
        task_wake(joiner->task, 0);
    LIST_REMOVE(task, in_loop);
    atomic_fetch_sub_explicit(&tasks_alive, 1, memory_order_relaxed);
    loop_trim_soon(loop);
    (void)weft_task_unref(task);
}

static void run_task(struct loop_item *item)
{
    struct weft_task *task = container_of(item, struct weft_task, item);
    struct weft_loop *loop = task->loop;
    struct current of_loop = current_state;

    assert(task->state == TASK_READY && !loop->running);
    current_state = task->current;
    loop->running = task;
    operation_before(&task->operation);
    task->state = TASK_RUNNING;
    coroutine_resume(task->coroutine);
    fork_guard_check();
    loop->running = NULL;
    task->operation.info.context = current_state.context;
    operation_after(&task->operation);
    if (task->state == TASK_ENDED) {
        operation_end(&task->operation);
        current_leave(&of_loop);
        end_task(task);
    } else {
        task->current = current_state;
        current_state = of_loop;
    }
    /* Not before: what is released with a task's context is still the task's doing. */
    running_job_set(current_state.context);
}

int task_start(struct weft_loop *loop, const struct task_start *start, struct weft_task **ret_task)
{
    struct weft_task *task = calloc(1, sizeof(*task));

    if (!task)
        return -ENOMEM;
    task->name = strdup(start->name);
    if (!task->name) {
        free(task);
        return -ENOMEM;
    }
    int r = coroutine_get(loop->coroutines, run_function, task, &task->coroutine);
    if (r < 0) {
        free(task->name);
        free(task);
        return r;
    }
    task->item.run = run_task;
    task->loop = loop;
    atomic_init(&task->references, 2); /* the task itself, and the caller */
    task->observed = start->observed;
    task->fn = start->fn;
    task->arg = start->arg;
    task->current = current_fresh(start->context, &task->operation);
    operation_begin_in(&task->operation, start->class, start->place, OPERATION_BORROWS, start->context, task->name);
    LIST_INSERT_HEAD(&loop->tasks, task, in_loop);
    atomic_fetch_add_explicit(&tasks_alive, 1, memory_order_relaxed);
    loop_push(loop, &task->item);
    *ret_task = task;
    return 0;
}

/* The context of a subtask: the spawner's, with the subtask's name for the log. */
static int subtask_context(const char *name, struct weft_context **ret_context)
{
    struct current saved;

    current_enter(&saved, weft_capture());
    int r = current_set_own(JOB_VALUE_TASK, name);
    struct weft_context *context = weft_capture();
    current_leave(&saved);
    if (r < 0)
        context = weft_context_unref(context);
    *ret_context = context;
    return r;
}

static struct weft_task *fail_spawn(int error)
{
    errno = error;
    return NULL;
}

struct weft_task *weft_spawn(const char *name, int (*fn)(void *arg), void *arg)
{
    struct weft_loop *loop = loop_current();
    struct task_start start = {
        .name = name, .fn = fn, .arg = arg, .observed = true, .class = &task_class, .place = OPERATION_PLACE()};

    if (!loop || !name || !fn)
        return fail_spawn(loop ? EINVAL : offload_is_here() ? EDEADLK : EPERM);
    int r = subtask_context(name, &start.context);
    if (r < 0)
        return fail_spawn(-r);

    struct weft_task *task;
    r = task_start(loop, &start, &task);
    if (r < 0) {
        (void)weft_context_unref(start.context);
        return fail_spawn(-r);
    }
    if (loop->observer && loop->observer->task_spawned) {
        struct current saved;

        current_enter(&saved, weft_context_ref(task->current.context));
        loop->observer->task_spawned(task, loop->observer->user);
        current_leave(&saved);
    }
    if (!loop->running) {
        /* The task itself keeps the handle alive for as long as a callback may look at it: it cannot begin before that
         * returns. */
        (void)weft_task_unref(task);
        return task;
    }
    SLIST_INSERT_HEAD(&loop->running->children, task, next_child);
    return task;
}

/* ---- Waiting and waking ---- */

static int wait_in(struct weft_task *task)
{
    assert(task->state == TASK_RUNNING);
    task->state = TASK_WAITING;
    coroutine_suspend(task->coroutine);
    return task->wake_value;
}

int task_wait(void)
{
    struct weft_task *task = weft_task_current();

    if (!task)
        return -EDEADLK;
    if (task->interruption < 0)
        return task->interruption;
    int value = wait_in(task);
    return task->interruption < 0 ? task->interruption : value;
}

int task_wait_held(void)
{
    struct weft_task *task = weft_task_current();

    if (!task)
        return -EDEADLK;
    task->held = true;
    int value = wait_in(task);
    task->held = false;
    return value;
}

/* Nobody follows what happens at the root. */
int task_wait_as(struct operation *operation, const struct operation_class *class, const char *name, const void *place)
{
    if (current_state.context)
        operation_begin_in(operation, class, place, OPERATION_BORROWS, current_state.context, name);
    int r = task_wait();
    operation_end(operation);
    return r;
}

int task_wait_for(struct weft_future *future, const struct operation_class *class, const char *name, const void *place,
                  int *ret_result)
{
    struct weft_task *task = weft_task_current();
    struct operation operation = {0};

    if (!task)
        return task_result(-EDEADLK);
    if (future->waiter)
        return task_result(-EBUSY);
    if (task->interruption < 0)
        return task_result(task->interruption);
    if (!future->done) {
        future->waiter = task;
        int r = task_wait_as(&operation, class, name, place);
        future->waiter = NULL;
        if (r < 0)
            return task_result(r);
    }
    if (ret_result)
        *ret_result = future->result;
    return 0;
}

void task_wake(struct weft_task *task, int value)
{
    if (task->state != TASK_WAITING)
        return;
    task->state = TASK_READY;
    task->wake_value = value;
    loop_push(task->loop, &task->item);
}

void task_interrupt(struct weft_task *task, int interruption)
{
    if (task->state == TASK_ENDED || task->interruption == -ECANCELED)
        return;
    task->interruption = interruption;
    if (!task->held)
        task_wake(task, interruption);
    cancel_tell(task);
}

void weft_cancel(struct weft_task *task)
{
    if (offload_is_here())
        errno = EDEADLK;
    else if (task)
        task_interrupt(task, -ECANCELED);
}

static const struct operation_class join_class = {.kind = "join"};

int weft_join(struct weft_task *task, int *ret_result)
{
    struct weft_task *self = weft_task_current();

    if (!task)
        return task_result(-EINVAL);
    if (!self || self == task)
        return task_result(-EDEADLK);
    if (self->interruption < 0)
        return task_result(self->interruption);

    /* The handle may be given back by others meanwhile. */
    (void)weft_task_ref(task);
    int r = 0;
    if (task->state != TASK_ENDED) {
        struct task_joiner joiner = {.task = self};
        struct operation operation = {0};

        LIST_INSERT_HEAD(&task->joiners, &joiner, in_task);
        r = task_wait_as(&operation, &join_class, task->name, OPERATION_PLACE());
        LIST_REMOVE(&joiner, in_task);
    }
    if (r == 0 && ret_result)
        *ret_result = task->result;
    (void)weft_task_unref(task);
    return task_result(r);
}
