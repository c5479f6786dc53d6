#include "context/propagate/wrapped_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "context/container.h"
#include "context/time.h"

/* ---- Records ---- */

/* Records of a thread that are free, so that an event costs no allocation. */
enum { SPARE_MAX = 256 };

static _Thread_local struct followed *spare;
static _Thread_local unsigned spare_count;

/* The record whose callback is being run for what was the last time when it began; the innermost. */
static _Thread_local struct followed *firing;

static struct followed *record_new(void)
{
    struct followed *followed = spare;

    if (!followed)
        return malloc(sizeof(*followed));
    spare = (struct followed *)followed->operation.next;
    spare_count--;
    return followed;
}

static void record_free(struct followed *followed)
{
    /* Only a thread that runs a loop comes by again to free them. */
    if (spare_count >= SPARE_MAX || propagate_owner(followed->base) != BASE_RUN_HERE) {
        free(followed);
        return;
    }
    followed->operation.next = (struct operation *)spare;
    spare = followed;
    spare_count++;
}

void followed_drain(void)
{
    while (spare) {
        struct followed *followed = spare;

        spare = (struct followed *)followed->operation.next;
        free(followed);
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
    const struct event *event = container_of(operation, const struct followed, operation)->event;
    short events = event_get_events(event);
    struct timeval when;
    int used = 0;

    if (events & EV_SIGNAL)
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "signal %d", event_get_signal(event));
    else if (events & (EV_READ | EV_WRITE | EV_CLOSED))
        used =
            snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "fd %d, %s", (int)event_get_fd(event), what_in_words(event));
    else
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "%s", operation->told.kind);
    if (event_pending(event, EV_TIMEOUT, &when))
        (void)snprintf(buffer + used, OPERATION_DESCRIPTION_SIZE - (size_t)used, ", %lld ms left",
                       us_until(&when) > 0 ? (long long)(us_until(&when) / 1000) : 0);
}

/* Timers are many, and reading a clock would be a good part of what following one costs. */
static int64_t timer_since_us(const struct operation *operation)
{
    const struct followed *followed = container_of(operation, const struct followed, operation);
    struct timeval when;
    int64_t left_us = event_pending(followed->event, EV_TIMEOUT, &when) ? us_until(&when) : 0;

    return time_steady_us() - (followed->timeout_us - left_us);
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

static unsigned flags_for(struct event_base *base, const struct operation_class *class)
{
    return (propagate_owner(base) == BASE_RUN_HERE ? 0 : OPERATION_ELSEWHERE) |
           (class == &timer_class ? OPERATION_UNTIMED : 0);
}

/* Whether the callback may be called once more after the call that has just begun. */
static bool is_still_to_run(const struct event *event)
{
    if (event->ev_events & EV_SIGNAL && event->ev_.ev_signal.ev_ncalls > 0)
        return true;
    return event->ev_events & EV_PERSIST && event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL);
}

static void restore(struct followed *followed)
{
    struct event *event = followed->event;

    followed_callback_of(event) = followed->callback;
    followed_arg_of(event) = followed->arg;
    followed->event = NULL;
}

static void let_go(struct followed *followed)
{
    operation_end(&followed->operation);
    record_free(followed);
}

static void run_repeatedly(struct followed *followed, evutil_socket_t fd, short what)
{
    struct current saved;

    followed->running++;
    operation_enter(&followed->operation, &saved);
    followed->callback(fd, what, followed->arg);
    operation_leave(&followed->operation, &saved);
    if (--followed->running == 0 && followed->dropped)
        let_go(followed);
}

/* The callback may arm its event again, which makes it the event's record again. */
static void run_last(struct followed *followed, evutil_socket_t fd, short what)
{
    struct followed *outer = firing;
    struct current saved;

    firing = followed;
    followed->running++;
    operation_enter_last(&followed->operation, &saved);
    followed->callback(fd, what, followed->arg);
    operation_leave(&followed->operation, &saved);
    firing = outer;
    followed->fired = NULL;
    if (--followed->running == 0 && (followed->dropped || !followed->event))
        let_go(followed);
}

static void run_followed(evutil_socket_t fd, short what, void *arg)
{
    struct followed *followed = arg;

    if (is_still_to_run(followed->event) || followed->running > 0) {
        run_repeatedly(followed, fd, what);
    } else {
        /* Before the callback, which may free the memory of an event that waits for nothing any more. */
        followed->fired = followed->event;
        restore(followed);
        run_last(followed, fd, what);
    }
}

void followed_run_once(evutil_socket_t fd, short what, void *arg)
{
    run_last(arg, fd, what);
}

struct followed *followed_of(const struct event *event)
{
    return followed_callback_of(event) == run_followed ? followed_arg_of(event) : NULL;
}

static struct followed *begin(struct event_base *base, const struct operation_class *class, const void *place)
{
    struct followed *followed = record_new();

    if (!followed)
        return NULL;
    followed->base = base;
    followed->event = NULL;
    followed->running = 0;
    followed->dropped = false;
    followed->fired = NULL;
    operation_begin(&followed->operation, class, place, flags_for(base, class));
    return followed;
}

static struct followed *install(struct followed *followed, struct event *event, const struct timeval *timeout)
{
    followed->event = event;
    followed->timeout_us = timeout ? in_us(timeout) : 0;
    followed->callback = followed_callback_of(event);
    followed->arg = followed_arg_of(event);
    followed_callback_of(event) = run_followed;
    followed_arg_of(event) = followed;
    return followed;
}

struct followed *followed_again(struct event *event, const struct timeval *timeout, const void *place)
{
    struct followed *followed = firing;

    if (!followed || followed->fired != event || !operation_renew(&followed->operation, place))
        return NULL;
    followed->dropped = false;
    return install(followed, event, timeout);
}

struct followed *followed_new(struct event *event, const struct timeval *timeout, const void *place)
{
    struct followed *followed = begin(event->ev_base, class_of(event), place);

    return followed ? install(followed, event, timeout) : NULL;
}

struct followed *followed_once_new(struct event_base *base, event_callback_fn callback, void *arg, const void *place)
{
    struct followed *followed = begin(base, &once_class, place);

    if (!followed)
        return NULL;
    followed->callback = callback;
    followed->arg = arg;
    return followed;
}

/* ---- Dropping ---- */

static void drop_here(evutil_socket_t fd, short what, void *arg)
{
    struct followed *followed = arg;

    (void)fd;
    (void)what;
    if (followed->running > 0)
        followed->dropped = true;
    else
        let_go(followed);
}

/* The record is its loop's thread's. */
void followed_drop(struct followed *followed)
{
    static const struct timeval at_once;

    if (followed->event)
        restore(followed);
    if (propagate_owner(followed->base) == BASE_RUN_ELSEWHERE)
        (void)REAL(event_base_once)(followed->base, -1, EV_TIMEOUT, drop_here, followed, &at_once);
    else
        drop_here(-1, 0, followed);
}

struct of_base {
    const struct event_base *base;
    struct followed *found;
};

static int find_of_base(const struct operation *operation, void *arg)
{
    struct of_base *search = arg;
    const struct operation_class *class = operation->class;

    if (class != &timer_class && class != &fd_class && class != &signal_class && class != &once_class)
        return 0;
    if (container_of(operation, const struct followed, operation)->base != search->base ||
        container_of(operation, const struct followed, operation)->dropped)
        return 0;
    search->found = (struct followed *)(uintptr_t)operation;
    return 1;
}

void followed_drop_all(const struct event_base *base)
{
    struct of_base search = {.base = base};

    while (operation_each(find_of_base, &search) > 0)
        followed_drop(search.found);
}
