/*
 * Tasks behind <weft/task.h>: their states, and what waits are made of.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weft/task.h>

#include "context/async/operation.h"
#include "context/current.h"
#include "context/task/loop.h"

enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_ENDED };

/* A task that waits for another one's end. On the waiting task's stack. */
struct task_joiner {
    struct weft_task *task;
    LIST_ENTRY(task_joiner) in_task;
};

struct offload_call;
struct cancel_call;

struct weft_task {
    struct loop_item item;
    struct weft_loop *loop;
    atomic_uint references;
    enum task_state state;
    bool observed; /* by the loop's observer */
    bool held;     /* in a wait that no interruption ends */
    /* -ECANCELED or -ETIME once it was interrupted: given by this wait and all later ones. Written by the loop's
     * thread, read by that of a call. */
    atomic_int interruption;
    int64_t deadline_us;              /* CLOCK_MONOTONIC, for weft_deadline_ms(); 0: there is none */
    struct offload_call *call;        /* that it waits for; NULL: none */
    struct cancel_call *cancel_calls; /* what weft_on_cancel() has registered; context/task/cancel.c's */
    int wake_value;                   /* what the wait gives */
    int result;
    int (*fn)(void *arg);
    void *arg;
    char *name;
    struct coroutine *coroutine;
    struct current current; /* while it is not running */
    struct operation operation;
    LIST_HEAD(, task_joiner) joiners;
    SLIST_HEAD(, weft_task) children; /* handles that it holds until it ends */
    SLIST_ENTRY(weft_task) next_child;
    LIST_ENTRY(weft_task) in_loop;
};

/* How to start a task. */
struct task_start {
    const char *name;
    int (*fn)(void *arg);
    void *arg;
    struct weft_context *context; /* a reference that is taken over where it succeeds */
    bool observed;                /* a subtask, which the observer is told about */
    const struct operation_class *class;
    const void *place; /* NULL: it was not code of a plugin's that started it */
};

/* Starts a task; `*ret_task` is a reference of the caller's. Errors: -EAGAIN, -ENOMEM. */
int task_start(struct weft_loop *loop, const struct task_start *start, struct weft_task **ret_task) WEFT_MUST_CHECK;

/* Interrupts a task with -ECANCELED or -ETIME; a cancellation outranks a time-out, and neither is ever taken back. */
void task_interrupt(struct weft_task *task, int interruption);

/* Tasks as operations. */
extern const struct operation_class task_class;

/* Suspends the running task until task_wake(), whose value it gives, or an interruption, which it gives instead. Gives
 * -EDEADLK outside of a task; an interruption that has come before, at once. */
int task_wait(void);

/* The same, but an interruption does not end it; it is seen by the next wait. */
int task_wait_held(void);

/* As task_wait(), and meanwhile `operation`, on the caller's stack, says what the task waits for. */
int task_wait_as(struct operation *operation, const struct operation_class *class, const char *name, const void *place);

/* As weft_future_wait(), for what `class` and `name` (may be NULL) say. */
int task_wait_for(struct weft_future *future, const struct operation_class *class, const char *name, const void *place,
                  int *ret_result);

/* Ends the wait of a task that waits; does nothing to another. */
void task_wake(struct weft_task *task, int value);

/* Sets errno to what a negative result says, and gives the result. */
int task_result(int result);
