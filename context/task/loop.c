#include "context/task/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <event2/event_struct.h>

#include "context/container.h"
#include "context/machinery.h"
#include "context/propagate/propagate.h"
#include "context/task/callback.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"

static _Thread_local struct weft_loop *loop_of_thread;

struct weft_loop *loop_current(void)
{
    return loop_of_thread;
}

struct event_base *weft_loop_base(void)
{
    return loop_of_thread ? loop_of_thread->base : NULL;
}

/* ---- What is ready ---- */

/* A timer of no time rather than event_active(): libevent runs what is activated meanwhile in the same turn, and a task
 * that yields in a loop would keep it from ever looking at its descriptors. */
static void run_soon(struct weft_loop *loop)
{
    (void)propagate_event_add(loop->ready_event, &(struct timeval){0});
}

void loop_push(struct weft_loop *loop, struct loop_item *item)
{
    assert(item->run);
    bool was_empty = STAILQ_EMPTY(&loop->ready);
    STAILQ_INSERT_TAIL(&loop->ready, item, next);
    if (was_empty)
        run_soon(loop);
}

/* Runs what was ready when the turn began, until the slice is used up; what becomes ready meanwhile waits for the next
 * turn. The clock is the cheap one, since it is read for every item. */
MACHINERY_BOTTOM static void run_ready(evutil_socket_t fd, short what, void *arg)
{
    struct weft_loop *loop = arg;
    struct loop_items ready = STAILQ_HEAD_INITIALIZER(ready);
    int64_t began_us = time_coarse_us();

    (void)fd;
    (void)what;
    STAILQ_CONCAT(&ready, &loop->ready);
    while (!STAILQ_EMPTY(&ready)) {
        struct loop_item *item = STAILQ_FIRST(&ready);

        STAILQ_REMOVE_HEAD(&ready, next);
        item->run(item);
        if (!STAILQ_EMPTY(&ready) && time_coarse_us() - began_us >= LOOP_SLICE_US) {
            bool was_empty = STAILQ_EMPTY(&loop->ready);

            /* What is left goes before what has become ready meanwhile. */
            STAILQ_CONCAT(&ready, &loop->ready);
            STAILQ_CONCAT(&loop->ready, &ready);
            if (was_empty)
                run_soon(loop);
            return;
        }
    }
}

/* ---- Timers ---- */

/* Has timer_event wait for the first deadline. */
static void arm_timer(struct weft_loop *loop)
{
    const struct timer *first = timer_first(&loop->timers);

    if (!first) {
        if (loop->timer_armed_us)
            (void)propagate_event_del(loop->timer_event);
        loop->timer_armed_us = 0;
        return;
    }
    if (loop->timer_armed_us == first->deadline_us)
        return;

    int64_t left = first->deadline_us - time_steady_us();
    struct timeval wait = {0};
    if (left > 0)
        wait = (struct timeval){.tv_sec = left / 1000000, .tv_usec = left % 1000000};
    (void)propagate_event_add(loop->timer_event, &wait);
    loop->timer_armed_us = first->deadline_us;
}

/* Those that are due and find no room in the slice come next turn: their deadlines keep their order. */
static void fire_timers(evutil_socket_t fd, short what, void *arg)
{
    struct weft_loop *loop = arg;
    int64_t now = time_steady_us(), began_us = time_coarse_us();

    (void)fd;
    (void)what;
    loop->timer_armed_us = 0;
    for (struct timer *timer = timer_first(&loop->timers); timer && timer->deadline_us <= now;
         timer = timer_first(&loop->timers)) {
        timer_stop(&loop->timers, timer);
        timer->fire(timer);
        if (time_coarse_us() - began_us >= LOOP_SLICE_US)
            break;
    }
    arm_timer(loop);
}

int loop_start_timer(struct weft_loop *loop, struct timer *timer, int64_t deadline_us)
{
    int r = timer_start(&loop->timers, timer, deadline_us);

    if (r == 0 && timer_first(&loop->timers) == timer)
        arm_timer(loop);
    return r;
}

void loop_stop_timer(struct weft_loop *loop, struct timer *timer)
{
    timer_stop(&loop->timers, timer);
    /* A base that has nothing else to do is to return from its dispatch. */
    if (loop->timers.count == 0)
        arm_timer(loop);
}

/* ---- Idle coroutines ---- */

enum { TRIM_PERIOD_S = 1 };

static void trim_in(struct weft_loop *loop, time_t seconds)
{
    loop->trim_is_due = propagate_event_add(loop->trim_event, &(struct timeval){.tv_sec = seconds}) == 0;
}

static void trim(evutil_socket_t fd, short what, void *arg)
{
    struct weft_loop *loop = arg;

    (void)fd;
    (void)what;
    loop->trim_is_due = false;
    if (!loop->trim_goes_on)
        coroutine_pool_age(loop->coroutines);
    enum coroutine_rest rest = coroutine_pool_trim(loop->coroutines);
    loop->trim_goes_on = rest == COROUTINE_REST_OLD;
    if (rest != COROUTINE_REST_NONE)
        trim_in(loop, rest == COROUTINE_REST_OLD ? 0 : TRIM_PERIOD_S);
}

void loop_trim_soon(struct weft_loop *loop)
{
    if (!loop->trim_is_due)
        trim_in(loop, TRIM_PERIOD_S);
}

void loop_observe(struct weft_loop *loop, const struct loop_observer *observer)
{
    loop->observer = observer;
}

/* ---- The loop itself ---- */

static int loop_init(struct weft_loop *loop, struct event_base *base)
{
    loop->base = base;
    STAILQ_INIT(&loop->ready);
    loop->ready_event = evtimer_new(base, run_ready, loop);
    loop->timer_event = evtimer_new(base, fire_timers, loop);
    loop->trim_event = evtimer_new(base, trim, loop);
    if (!loop->ready_event || !loop->timer_event || !loop->trim_event)
        return -ENOMEM;
    /* A base that has nothing else to do returns from its dispatch, as if this were an event of libevent's own. */
    loop->trim_event->ev_evcallback.evcb_flags |= EVLIST_INTERNAL;

    int r = coroutine_pool_new(LOOP_STACK_SIZE, &loop->coroutines);
    if (r < 0)
        return r;
    r = offload_pool_new(base, &loop->offloads);
    return r < 0 ? r : post_box_open(base, loop, &loop->posts);
}

int weft_loop_new(struct event_base *base, struct weft_loop **ret_loop)
{
    if (loop_of_thread)
        return -EBUSY;

    struct weft_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    int r = loop_init(loop, base);
    if (r < 0) {
        (void)weft_loop_free(loop);
        return r;
    }
    loop_of_thread = loop;
    *ret_loop = loop;
    return 0;
}

int weft_loop_set_offload_threads(struct weft_loop *loop, unsigned threads)
{
    if (threads < 1 || threads > OFFLOAD_THREADS_MAX)
        return -EINVAL;
    offload_pool_set_limit(loop->offloads, threads);
    return 0;
}

static void event_free_if_any(struct event *event)
{
    if (event)
        event_free(event);
}

struct weft_loop *weft_loop_free(struct weft_loop *loop)
{
    if (!loop)
        return NULL;
    post_box_close(loop);
    /* What is released below must not schedule anything more. */
    if (loop_of_thread == loop)
        loop_of_thread = NULL;
    callback_drop_all(loop);
    loop->posts = post_box_free(loop->posts);
    loop->offloads = offload_pool_free(loop->offloads);
    loop->coroutines = coroutine_pool_free(loop->coroutines);
    timer_heap_done(&loop->timers);
    event_free_if_any(loop->ready_event);
    event_free_if_any(loop->timer_event);
    event_free_if_any(loop->trim_event);
    free(loop);
    return NULL;
}
