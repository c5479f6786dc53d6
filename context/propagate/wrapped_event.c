#include "context/propagate/wrapped_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "context/container.h"
#include "context/time.h"

/* ---- Records ---- */

/* Records of a thread that are free, so that an event costs no allocation. */
enum { SPARE_MAX = 256 };

static _Thread_local SLIST_HEAD(, wrapped_event) spare;
static _Thread_local unsigned spare_count;

/* The record whose callback is being run for what was the last time when it began; the innermost. */
static _Thread_local struct wrapped_event *firing;

static void record_free(struct wrapped_event *wrapped)
{
    /* Only a thread that runs a loop comes by again to free them. */
    if (spare_count >= SPARE_MAX || propagate_owner(wrapped->base) != BASE_RUN_HERE) {
        free(wrapped);
        return;
    }
    SLIST_INSERT_HEAD(&spare, wrapped, next_spare);
    spare_count++;
}

void wrapped_event_drain(void)
{
    while (!SLIST_EMPTY(&spare)) {
        struct wrapped_event *wrapped = SLIST_FIRST(&spare);

        SLIST_REMOVE_HEAD(&spare, next_spare);
        free(wrapped);
    }
    spare_count = 0;
}

/* ---- In words ---- */

static int64_t in_us(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_usec;
}

/* `when` is a time of day, as libevent gives it. */
static int64_t us_until(const struct timeval *when)
{
    return in_us(when) - time_unix_us();
}

static const char *what_in_words(const struct event *event)
{
    short events = event_get_events(event);

    if (events & EV_READ)
        return events & EV_WRITE ? "read or write" : "read";
    return events & EV_WRITE ? "write" : "close";
}

static void describe(const struct operation *operation, char *buffer)
{
    const struct event *event = container_of(operation, const struct wrapped_event, operation)->event;
    short events = event_get_events(event);
    struct timeval when;
    int used = 0;

    if (events & EV_SIGNAL)
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "signal %d", event_get_signal(event));
    else if (events & (EV_READ | EV_WRITE | EV_CLOSED))
        used =
            snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "fd %d, %s", (int)event_get_fd(event), what_in_words(event));
    else
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "%s", operation->info.kind);
    if (event_pending(event, EV_TIMEOUT, &when))
        (void)snprintf(buffer + used, OPERATION_DESCRIPTION_SIZE - (size_t)used, ", %lld ms left",
                       us_until(&when) > 0 ? (long long)(us_until(&when) / 1000) : 0);
}

/* Timers are many, and reading a clock would be a good part of what following one costs. */
static int64_t timer_since_us(const struct operation *operation)
{
    const struct wrapped_event *wrapped = container_of(operation, const struct wrapped_event, operation);
    struct timeval when;
    int64_t left_us = event_pending(wrapped->event, EV_TIMEOUT, &when) ? us_until(&when) : 0;

    return time_steady_us() - (wrapped->timeout_us - left_us);
}

static const struct operation_class timer_class = {.kind = "timer", .describe = describe, .since_us = timer_since_us};
static const struct operation_class fd_class = {.kind = "fd", .describe = describe};
static const struct operation_class signal_class = {.kind = "signal", .describe = describe};
static const struct operation_class once_class = {.kind = "once"};

static const struct operation_class *class_of(const struct event *event)
{
    if (event->ev_events & EV_SIGNAL)
        return &signal_class;
    return event->ev_events & (EV_READ | EV_WRITE | EV_CLOSED) ? &fd_class : &timer_class;
}

/* ---- Following ---- */

/* Whether the callback may be called once more after the call that has just begun. */
static bool is_still_to_run(const struct event *event)
{
    if (event->ev_events & EV_SIGNAL && event->ev_.ev_signal.ev_ncalls > 0)
        return true;
    return event->ev_events & EV_PERSIST && event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL);
}

static void restore(struct wrapped_event *wrapped)
{
    struct event *event = wrapped->event;

    wrapped_event_callback_of(event) = wrapped->callback;
    wrapped_event_arg_of(event) = wrapped->arg;
    wrapped->event = NULL;
}

static void let_go(struct wrapped_event *wrapped)
{
    operation_end(&wrapped->operation);
    record_free(wrapped);
}

/* The callback may arm its event again, which makes it the event's record again. */
static void run_last(struct wrapped_event *wrapped, evutil_socket_t fd, short what)
{
    struct wrapped_event *outer = firing;
    struct current saved;

    firing = wrapped;
    wrapped->running++;
    operation_enter_last(&wrapped->operation, &saved);
    wrapped->callback(fd, what, wrapped->arg);
    operation_leave(&wrapped->operation, &saved);
    firing = outer;
    wrapped->fired = NULL;
    if (--wrapped->running == 0 && (wrapped->dropped || !wrapped->event))
        let_go(wrapped);
}

static void run_wrapped(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_event *wrapped = arg;

    if (is_still_to_run(wrapped->event) || wrapped->running > 0) {
        struct current saved;

        wrapped->running++;
        operation_enter(&wrapped->operation, &saved);
        wrapped->callback(fd, what, wrapped->arg);
        operation_leave(&wrapped->operation, &saved);
        if (--wrapped->running == 0 && wrapped->dropped)
            let_go(wrapped);
    } else {
        /* Before the callback, which may free the memory of an event that waits for nothing any more. */
        wrapped->fired = wrapped->event;
        restore(wrapped);
        run_last(wrapped, fd, what);
    }
}

void wrapped_event_run_once(evutil_socket_t fd, short what, void *arg)
{
    run_last(arg, fd, what);
}

struct wrapped_event *wrapped_event_of(const struct event *event)
{
    return wrapped_event_callback_of(event) == run_wrapped ? wrapped_event_arg_of(event) : NULL;
}

static struct wrapped_event *begin(struct event_base *base, const struct operation_class *class, const void *place)
{
    struct wrapped_event *wrapped = SLIST_FIRST(&spare);
    unsigned flags = (propagate_owner(base) == BASE_RUN_HERE ? 0 : OPERATION_ELSEWHERE) |
                     (class == &timer_class ? OPERATION_UNTIMED : 0);

    if (wrapped) {
        SLIST_REMOVE_HEAD(&spare, next_spare);
        spare_count--;
    } else {
        wrapped = malloc(sizeof(*wrapped));
        if (!wrapped)
            return NULL;
    }
    wrapped->base = base;
    wrapped->event = NULL;
    wrapped->running = 0;
    wrapped->dropped = false;
    wrapped->fired = NULL;
    operation_begin(&wrapped->operation, class, place, flags);
    return wrapped;
}

static struct wrapped_event *install(struct wrapped_event *wrapped, struct event *event, const struct timeval *timeout)
{
    wrapped->event = event;
    wrapped->timeout_us = timeout ? in_us(timeout) : 0;
    wrapped->callback = wrapped_event_callback_of(event);
    wrapped->arg = wrapped_event_arg_of(event);
    wrapped_event_callback_of(event) = run_wrapped;
    wrapped_event_arg_of(event) = wrapped;
    return wrapped;
}

struct wrapped_event *wrapped_event_again(struct event *event, const struct timeval *timeout, const void *place)
{
    struct wrapped_event *wrapped = firing;

    if (!wrapped || wrapped->fired != event || !operation_renew(&wrapped->operation, place))
        return NULL;
    wrapped->dropped = false;
    return install(wrapped, event, timeout);
}

struct wrapped_event *wrapped_event_new(struct event *event, const struct timeval *timeout, const void *place)
{
    struct wrapped_event *wrapped = begin(event->ev_base, class_of(event), place);

    return wrapped ? install(wrapped, event, timeout) : NULL;
}

struct wrapped_event *wrapped_event_once_new(struct event_base *base, event_callback_fn callback, void *arg,
                                             const void *place)
{
    struct wrapped_event *wrapped = begin(base, &once_class, place);

    if (!wrapped)
        return NULL;
    wrapped->callback = callback;
    wrapped->arg = arg;
    return wrapped;
}

/* ---- Dropping ---- */

static void drop_here(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_event *wrapped = arg;

    (void)fd;
    (void)what;
    if (wrapped->running > 0)
        wrapped->dropped = true;
    else
        let_go(wrapped);
}

/* The record is its loop's thread's. */
void wrapped_event_drop(struct wrapped_event *wrapped)
{
    static const struct timeval at_once;

    if (!wrapped)
        return;
    if (wrapped->event)
        restore(wrapped);
    if (propagate_owner(wrapped->base) == BASE_RUN_ELSEWHERE)
        (void)REAL(event_base_once)(wrapped->base, -1, EV_TIMEOUT, drop_here, wrapped, &at_once);
    else
        drop_here(-1, 0, wrapped);
}

struct of_base {
    const struct event_base *base;
    struct wrapped_event *found;
};

static int find_of_base(const struct operation *operation, void *arg)
{
    struct of_base *search = arg;
    const struct operation_class *class = operation->class;

    if (class != &timer_class && class != &fd_class && class != &signal_class && class != &once_class)
        return 0;
    struct wrapped_event *wrapped =
        (struct wrapped_event *)container_of(operation, const struct wrapped_event, operation);
    if (wrapped->base != search->base || wrapped->dropped)
        return 0;
    search->found = wrapped;
    return 1;
}

void wrapped_event_drop_all(const struct event_base *base)
{
    struct of_base search = {.base = base};

    while (operation_each(find_of_base, &search) > 0)
        wrapped_event_drop(search.found);
}
