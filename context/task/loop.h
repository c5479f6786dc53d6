/*
 * The loop: runs what is ready, first come first served, and fires timers, from two events on a libevent base.
 */
#pragma once

#include <sys/queue.h>

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/task.h>

#include "context/task/coroutine.h"
#include "context/task/timer.h"

/* Something that is to run soon: a task or a callback. In its owner's memory. */
struct loop_item {
    STAILQ_ENTRY(loop_item) next;
    void (*run)(struct loop_item *item);
};

STAILQ_HEAD(loop_items, loop_item);

struct offload_pool;
struct post_box;

/* Told about the tasks that weft_spawn() starts, in the task's own context: when it was spawned, when it begins, and
 * when its function has returned. Any of them may be NULL. */
struct loop_observer {
    void (*task_spawned)(struct weft_task *task, void *user);
    void (*task_started)(struct weft_task *task, void *user);
    void (*task_ended)(struct weft_task *task, int result, void *user);
    void *user;
};

struct weft_loop {
    struct event_base *base;
    struct event *ready_event;
    struct event *timer_event;
    struct event *trim_event; /* keeps no base from returning */
    bool trim_is_due;
    bool trim_goes_on; /* what was old at the last period's end is not all given back */
    struct loop_items ready;
    struct timer_heap timers;
    int64_t timer_armed_us; /* the deadline that timer_event waits for; 0: none */
    struct coroutine_pool *coroutines;
    struct offload_pool *offloads;
    struct post_box *posts;
    struct weft_task *running;
    LIST_HEAD(, weft_task) tasks; /* all that are alive, the newest first */
    const struct loop_observer *observer;
};

/* The loop of this thread, or NULL. */
struct weft_loop *loop_current(void);

/* Has `item` run once, after what is ready already. */
void loop_push(struct weft_loop *loop, struct loop_item *item);

/* For so long (us) the loop runs what is ready, or fires timers, before libevent has its turn; one task or callback
 * that takes longer is not cut short. The rest keeps its order and its place before what becomes ready meanwhile. */
enum { LOOP_SLICE_US = 5000 };

/* Starts a timer. Errors: -ENOMEM. */
int loop_start_timer(struct weft_loop *loop, struct timer *timer, int64_t deadline_us) WEFT_MUST_CHECK;
void loop_stop_timer(struct weft_loop *loop, struct timer *timer);

/* `observer` (NULL: nobody) must outlive the loop or the next call. */
void loop_observe(struct weft_loop *loop, const struct loop_observer *observer);

/* Has the memory of coroutines that have become idle given back when they have been so for a second or two, while the
 * base is dispatched. */
void loop_trim_soon(struct weft_loop *loop);

/* The size of a task's stack in bytes. */
enum { LOOP_STACK_SIZE = 256 * 1024 };
