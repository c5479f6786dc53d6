#include "context/task/callback.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "context/async/operation.h"
#include "context/boundary.h"
#include "context/container.h"
#include "context/fork_guard.h"
#include "context/machinery.h"
#include "context/propagate/propagate.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"

struct callback {
    struct loop_item item;
    struct timer timer;
    struct weft_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct operation operation;
    struct callback *posted_before; /* while it is in a post box */
    bool is_posted;
};

static void describe(const struct operation *operation, char *buffer)
{
    const struct callback *callback = container_of(operation, const struct callback, operation);
    int64_t left_us = callback->timer.place ? callback->timer.deadline_us - time_steady_us() : 0;

    if (callback->timer.place)
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "call, %lld ms left",
                       (long long)(left_us > 0 ? left_us / 1000 : 0));
    else
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "call, ready");
}

static const struct operation_class call_class = {.kind = "call", .describe = describe};

static void callback_free(struct callback *callback)
{
    operation_end(&callback->operation);
    free(callback);
}

static void call(const struct callback *callback)
{
    struct boundary boundary;

    boundary_call_void(callback->fn, callback->arg, &boundary);
    if (__builtin_expect(boundary.thrown, 0))
        boundary_report(&boundary, "an exception has ended a callback");
}

MACHINERY_BOTTOM static void run_callback(struct loop_item *item)
{
    struct callback *callback = container_of(item, struct callback, item);
    struct current saved;

    if (operation_is_pending(&callback->operation)) {
        operation_enter_last(&callback->operation, &saved);
        call(callback);
        operation_leave(&callback->operation, &saved);
    } else {
        current_enter(&saved, NULL);
        call(callback);
        current_leave(&saved);
    }
    callback_free(callback);
}

static void callback_is_due(struct timer *timer)
{
    struct callback *callback = container_of(timer, struct callback, timer);

    loop_push(callback->loop, &callback->item);
}

static int callback_new(void (*fn)(void *arg), void *arg, const void *place, struct callback **ret_callback)
{
    struct weft_loop *loop = loop_current();

    if (!loop || !fn)
        return loop ? -EINVAL : offload_is_here() ? -EDEADLK : -EPERM;

    struct callback *callback = malloc(sizeof(*callback));
    if (!callback)
        return -ENOMEM;
    *callback = (struct callback){
        .item.run = run_callback,
        .timer.fire = callback_is_due,
        .loop = loop,
        .fn = fn,
        .arg = arg,
    };
    if (current_state.context)
        operation_begin(&callback->operation, &call_class, place, 0);
    *ret_callback = callback;
    return 0;
}

int weft_call_soon(void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, OPERATION_PLACE(), &callback);

    if (r == 0)
        loop_push(callback->loop, &callback->item);
    return task_result(r);
}

int weft_call_later(uint64_t milliseconds, void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, OPERATION_PLACE(), &callback);

    if (r < 0)
        return task_result(r);
    r = loop_start_timer(callback->loop, &callback->timer, timer_deadline_in(milliseconds));
    if (r < 0)
        callback_free(callback);
    return task_result(r);
}

/* ---- From other threads ---- */

/* In place of the last callback of a box that takes none: the process's before it was ever opened, one that its loop
 * has closed, and the process's when another loop may have it. */
static struct callback not_yet, no_more, vacant;

/* Never freed, so that whoever posts to the process's loop need not know whether it is still there. */
static struct post_box of_process = {.last = &not_yet, .fd = -1};

static const struct operation_class post_class = {.kind = "post"};

int weft_post(struct weft_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post_box *box = loop ? loop->posts : &of_process;

    if (!fn)
        return task_result(-EINVAL);
    if (fork_guard_is_copy)
        return task_result(-EPERM);

    struct callback *callback = malloc(sizeof(*callback));
    if (!callback)
        return task_result(-ENOMEM);
    *callback = (struct callback){.item.run = run_callback, .fn = fn, .arg = arg, .is_posted = true};
    if (current_state.context)
        operation_begin(&callback->operation, &post_class, OPERATION_PLACE(), OPERATION_ELSEWHERE);

    struct callback *last = atomic_load_explicit(&box->last, memory_order_relaxed);
    do {
        if (last == &not_yet || last == &no_more || last == &vacant) {
            callback_free(callback);
            return task_result(last == &not_yet ? -EPERM : -ESHUTDOWN);
        }
        callback->posted_before = last;
    } while (!atomic_compare_exchange_weak_explicit(&box->last, &last, callback, memory_order_acq_rel,
                                                    memory_order_relaxed));
    /* Whoever finds the box empty wakes the loop for all that come until it has looked. */
    if (!last)
        (void)eventfd_write(box->fd, 1);
    return 0;
}

/* Has the loop run what is in its box, the first first. `rest` is what the box holds from now on: NULL or no_more. */
static void take_posts(struct weft_loop *loop, struct callback *rest)
{
    struct callback *last = atomic_exchange_explicit(&loop->posts->last, rest, memory_order_acq_rel), *first = NULL;

    while (last && last != &no_more) {
        struct callback *before = last->posted_before;

        last->posted_before = first;
        first = last;
        last = before;
    }
    for (; first; first = first->posted_before)
        loop_push(loop, &first->item);
}

static void posts_are_there(evutil_socket_t fd, short what, void *arg)
{
    eventfd_t count;

    (void)what;
    (void)eventfd_read(fd, &count);
    take_posts(arg, NULL);
}

static void make_fd_of_process(void)
{
    of_process.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Whether the process's box was nobody's. */
static bool take_box_of_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct callback *last = &not_yet;

    (void)pthread_once(&once, make_fd_of_process);
    if (of_process.fd < 0)
        return false;
    if (atomic_compare_exchange_strong(&of_process.last, &last, NULL))
        return true;
    return last == &vacant && atomic_compare_exchange_strong(&of_process.last, &last, NULL);
}

int post_box_open(struct event_base *base, struct weft_loop *loop, struct post_box **ret_box)
{
    struct post_box *box = &of_process;

    if (!take_box_of_process()) {
        box = calloc(1, sizeof(*box));
        if (!box)
            return -ENOMEM;
        box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (box->fd < 0) {
            int r = -errno;

            free(box);
            return r;
        }
    }
    box->event = event_new(base, box->fd, EV_READ | EV_PERSIST, posts_are_there, loop);
    *ret_box = box;
    if (!box->event)
        return -ENOMEM;
    box->event->ev_evcallback.evcb_flags |= EVLIST_INTERNAL;
    return propagate_event_add(box->event, NULL) < 0 ? -ENOMEM : 0;
}

void post_box_close(struct weft_loop *loop)
{
    struct loop_items others = STAILQ_HEAD_INITIALIZER(others), posted = STAILQ_HEAD_INITIALIZER(posted);

    if (!loop || !loop->posts)
        return;
    take_posts(loop, &no_more);
    while (!STAILQ_EMPTY(&loop->ready)) {
        struct loop_item *item = STAILQ_FIRST(&loop->ready);
        bool is_posted = item->run == run_callback && container_of(item, struct callback, item)->is_posted;

        STAILQ_REMOVE_HEAD(&loop->ready, next);
        if (is_posted)
            STAILQ_INSERT_TAIL(&posted, item, next);
        else
            STAILQ_INSERT_TAIL(&others, item, next);
    }
    STAILQ_CONCAT(&loop->ready, &others);
    while (!STAILQ_EMPTY(&posted)) {
        struct loop_item *item = STAILQ_FIRST(&posted);

        STAILQ_REMOVE_HEAD(&posted, next);
        run_callback(item);
    }
}

/* The descriptor of the process's box stays: a thread that has posted may be about to write to it. */
struct post_box *post_box_free(struct post_box *box)
{
    if (!box)
        return NULL;
    if (box->event)
        event_free(box->event);
    box->event = NULL;
    if (box == &of_process) {
        atomic_store(&box->last, &vacant);
        return NULL;
    }
    (void)close(box->fd);
    free(box);
    return NULL;
}

/* ---- The end of a loop ---- */

void callback_drop_all(struct weft_loop *loop)
{
    while (!STAILQ_EMPTY(&loop->ready)) {
        struct loop_item *item = STAILQ_FIRST(&loop->ready);

        STAILQ_REMOVE_HEAD(&loop->ready, next);
        if (item->run == run_callback)
            callback_free(container_of(item, struct callback, item));
    }
    for (struct timer *timer = timer_first(&loop->timers); timer; timer = timer_first(&loop->timers)) {
        timer_stop(&loop->timers, timer);
        if (timer->fire == callback_is_due)
            callback_free(container_of(timer, struct callback, timer));
    }
}
