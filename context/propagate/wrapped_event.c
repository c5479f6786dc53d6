#include "context/propagate/wrapped_event.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "context/container.h"
#include "context/fork_lock.h"
#include "context/lock.h"
#include "context/time.h"

/* ---- Records ---- */

/* Records of a thread that are free, so that an event costs no allocation. */
enum { SPARE_MAX = 256 };

static _Thread_local SLIST_HEAD(, wrapped_event) spare;
static _Thread_local unsigned spare_count;

static void record_free(struct wrapped_event *wrapped)
{
    /* Only a thread that runs a loop comes by again to free them. */
    if (spare_count >= SPARE_MAX || LIST_EMPTY(&base_homes_here)) {
        free(wrapped);
        return;
    }
    SLIST_INSERT_HEAD(&spare, wrapped, next_spare);
    spare_count++;
}

static struct wrapped_event *record_allocate(void)
{
    struct wrapped_event *wrapped = SLIST_FIRST(&spare);

    if (!wrapped)
        return malloc(sizeof(*wrapped));
    SLIST_REMOVE_HEAD(&spare, next_spare);
    spare_count--;
    return wrapped;
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

/* Husks whose bases are gone. Their events may be gone as well, or be added to another base. */
static struct {
    pthread_mutex_t lock;
    LIST_HEAD(, wrapped_event) husks;
} orphans = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(orphans.lock, FORK_LOCK_INNER);

static void unlist_husk(struct wrapped_event *wrapped)
{
    if (wrapped->home) {
        LIST_REMOVE(wrapped, husks);
        return;
    }
    lock_take(&orphans.lock);
    LIST_REMOVE(wrapped, husks);
    lock_give(&orphans.lock);
}

__attribute__((noinline, cold)) static void list_husk(struct wrapped_event *wrapped, enum wrapped_event_state state)
{
    if (wrapped->state == WRAPPED_EVENT_HUSK && state != WRAPPED_EVENT_HUSK)
        unlist_husk(wrapped);
    if (state == WRAPPED_EVENT_HUSK && wrapped->state != WRAPPED_EVENT_HUSK)
        LIST_INSERT_HEAD(&wrapped->home->husks, wrapped, husks);
}

/* The one place where the state changes, and with it what lists a husk. */
static inline void become(struct wrapped_event *wrapped, enum wrapped_event_state state)
{
    if (__builtin_expect(wrapped->state == WRAPPED_EVENT_HUSK || state == WRAPPED_EVENT_HUSK, 0))
        list_husk(wrapped, state);
    wrapped->state = state;
}

/* Around what looks at or changes records of a home. Gives whether there is a lock to be given back. */
static inline bool take_hold(struct base_home *home)
{
    if (__builtin_expect(operation_home_is_here(&home->operations), 1))
        return false;
    operation_home_lock(&home->operations);
    return true;
}

static inline void let_loose(struct base_home *home, bool has_lock)
{
    if (__builtin_expect(has_lock, 0))
        operation_home_unlock(&home->operations);
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
    const struct wrapped_event *wrapped = container_of(operation, const struct wrapped_event, operation);
    const struct event *event = wrapped->event;
    struct timeval when;
    int used = 0;

    if (wrapped->state != WRAPPED_EVENT_ARMED) {
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "%s, its callback runs", operation->info.kind);
        return;
    }
    short events = event_get_events(event);
    if (events & EV_SIGNAL)
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "signal %d", event_get_signal(event));
    else if (events & (EV_READ | EV_WRITE | EV_CLOSED))
        used =
            snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "fd %d, %s", (int)event_get_fd(event), what_in_words(event));
    else
        used = snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "%s", operation->info.kind);
    if (wrapped->timeout_us >= 0 && event_pending(event, EV_TIMEOUT, &when))
        (void)snprintf(buffer + used, OPERATION_DESCRIPTION_SIZE - (size_t)used, ", %lld ms left",
                       us_until(&when) > 0 ? (long long)(us_until(&when) / 1000) : 0);
}

/* Timers are many, and reading a clock would be a good part of what following one costs. A base's clock is that of
 * time_steady_us(). What has no time-out has just been activated,
 * and what is dropped is about to end. */
static int64_t timer_since_us(const struct operation *operation)
{
    const struct wrapped_event *wrapped = container_of(operation, const struct wrapped_event, operation);
    struct timeval when;

    if (wrapped->timeout_us >= 0 && wrapped->state == WRAPPED_EVENT_LAST)
        return in_us(&wrapped->due) - wrapped->timeout_us;
    if (wrapped->timeout_us < 0 || wrapped->state != WRAPPED_EVENT_ARMED)
        return time_steady_us();
    int64_t left_us = event_pending(wrapped->event, EV_TIMEOUT, &when) ? us_until(&when) : 0;
    return time_steady_us() - (wrapped->timeout_us - left_us);
}

static const void *callback_of(const struct operation *operation)
{
    return (const void *)(uintptr_t)container_of(operation, const struct wrapped_event, operation)->callback;
}

static const struct operation_class timer_class = {
    .kind = "timer", .describe = describe, .since_us = timer_since_us, .callback = callback_of};
static const struct operation_class fd_class = {.kind = "fd", .describe = describe, .callback = callback_of};
static const struct operation_class signal_class = {.kind = "signal", .describe = describe, .callback = callback_of};
static const struct operation_class once_class = {.kind = "once", .callback = callback_of};

static const struct operation_class *class_of(const struct event *event)
{
    if (event->ev_events & EV_SIGNAL)
        return &signal_class;
    return event->ev_events & (EV_READ | EV_WRITE | EV_CLOSED) ? &fd_class : &timer_class;
}

/* ---- Following ---- */

struct wrapped_event *wrapped_event_new(struct base_home *home, const struct event *event, const void *place)
{
    struct wrapped_event *wrapped = record_allocate();

    if (!wrapped)
        return NULL;
    wrapped->home = home;
    wrapped->event = NULL;
    wrapped->finalizer = NULL;
    wrapped->running = 0;
    wrapped->state = WRAPPED_EVENT_LAST; /* of no event yet: whoever looks finds nothing to describe */
    wrapped->timeout_us = -1;
    operation_begin_at(&wrapped->operation, event ? class_of(event) : &once_class, place, &home->operations);
    return wrapped;
}

static void run_wrapped(evutil_socket_t fd, short what, void *arg);

void wrapped_event_install(struct wrapped_event *wrapped, struct event *event, const struct timeval *timeout)
{
    wrapped->event = event;
    wrapped->timeout_us = timeout ? in_us(timeout) : -1;
    wrapped->callback = wrapped_event_callback_of(event);
    wrapped->arg = wrapped_event_arg_of(event);
    wrapped_event_callback_of(event) = run_wrapped;
    wrapped_event_arg_of(event) = wrapped;
    become(wrapped, WRAPPED_EVENT_ARMED);
}

struct wrapped_event *wrapped_event_of(const struct event *event)
{
    return wrapped_event_callback_of(event) == run_wrapped ? wrapped_event_arg_of(event) : NULL;
}

struct wrapped_event *wrapped_event_again(struct base_home *home, struct event *event, const struct timeval *timeout,
                                          const void *place)
{
    struct wrapped_event *wrapped = home->firing;

    if (!wrapped || wrapped->state != WRAPPED_EVENT_LAST || wrapped->event != event ||
        !operation_renew(&wrapped->operation, place))
        return NULL;
    wrapped_event_install(wrapped, event, timeout);
    return wrapped;
}

void wrapped_event_once(struct wrapped_event *wrapped, event_callback_fn callback, void *arg)
{
    wrapped->callback = callback;
    wrapped->arg = arg;
    become(wrapped, WRAPPED_EVENT_ARMED);
}

static void restore(struct wrapped_event *wrapped)
{
    struct event *event = wrapped->event;

    wrapped_event_callback_of(event) = wrapped->callback;
    wrapped_event_arg_of(event) = wrapped->arg;
}

struct wrapped_event *wrapped_event_detach(struct wrapped_event *wrapped)
{
    if (wrapped->event && wrapped->state != WRAPPED_EVENT_LAST)
        restore(wrapped);
    /* The callback that arms its event, deletes it and arms it again arms what it runs for all the while. */
    bool is_firing = wrapped->home && wrapped->home->firing == wrapped;
    become(wrapped, is_firing ? WRAPPED_EVENT_LAST : WRAPPED_EVENT_DROPPED);
    return wrapped->running == 0 ? wrapped : NULL;
}

void wrapped_event_end(struct wrapped_event *wrapped)
{
    if (!wrapped)
        return;
    operation_end(&wrapped->operation);
    record_free(wrapped);
}

/* ---- Husks ---- */

void wrapped_event_hollow(struct wrapped_event *wrapped)
{
    become(wrapped, WRAPPED_EVENT_HUSK);
    wrapped->running++;
}

void wrapped_event_run_finalizer(struct event *event, void *arg)
{
    struct wrapped_event *wrapped = arg;
    event_finalize_callback_fn finalizer = wrapped->finalizer;
    struct current saved;
    void *own = wrapped->arg;

    bool has_lock = take_hold(wrapped->home);
    wrapped_event_arg_of(event) = own;
    become(wrapped, WRAPPED_EVENT_DROPPED);
    let_loose(wrapped->home, has_lock);
    wrapped_event_end(wrapped);
    propagate_suspend(&saved);
    finalizer(event, own);
    propagate_resume(&saved);
}

void wrapped_event_orphan(struct base_home *home)
{
    lock_take(&orphans.lock);
    while (!LIST_EMPTY(&home->husks)) {
        struct wrapped_event *wrapped = LIST_FIRST(&home->husks);

        LIST_REMOVE(wrapped, husks);
        wrapped->home = NULL;
        LIST_INSERT_HEAD(&orphans.husks, wrapped, husks);
    }
    lock_give(&orphans.lock);
}

/* ---- Running ---- */

/* What is a husk by now is left to its list: nobody knows whether its event is still there. */
__attribute__((noinline, cold)) static void return_locked(struct wrapped_event *wrapped)
{
    struct base_home *home = wrapped->home;

    operation_home_lock(&home->operations);
    if (home->firing == wrapped)
        home->firing = NULL;
    if (wrapped->state == WRAPPED_EVENT_HUSK && wrapped->running == 1) {
        operation_home_unlock(&home->operations);
        operation_end(&wrapped->operation);
        operation_home_lock(&home->operations);
    }
    bool is_over = --wrapped->running == 0;
    bool is_free = is_over && (wrapped->state == WRAPPED_EVENT_LAST || wrapped->state == WRAPPED_EVENT_DROPPED);
    operation_home_unlock(&home->operations);
    if (is_free)
        wrapped_event_end(wrapped);
}

void wrapped_event_return(struct wrapped_event *wrapped)
{
    struct base_home *home = wrapped->home;

    if (__builtin_expect(!operation_home_is_here(&home->operations), 0)) {
        return_locked(wrapped);
        return;
    }
    /* There are no husks where no other thread may come. */
    if (home->firing == wrapped)
        home->firing = NULL;
    if (--wrapped->running == 0 && wrapped->state != WRAPPED_EVENT_ARMED)
        wrapped_event_end(wrapped);
}

/* The callback may arm its event again, which makes it the event's record again. */
static inline void run_last(struct wrapped_event *wrapped, evutil_socket_t fd, short what)
{
    struct current saved;

    operation_enter_last(&wrapped->operation, &saved);
    wrapped->callback(fd, what, wrapped->arg);
    operation_leave(&wrapped->operation, &saved);
    wrapped_event_return(wrapped);
}

static void run_once_more(struct wrapped_event *wrapped, evutil_socket_t fd, short what)
{
    struct current saved;

    operation_enter(&wrapped->operation, &saved);
    wrapped->callback(fd, what, wrapped->arg);
    operation_leave(&wrapped->operation, &saved);
    wrapped_event_return(wrapped);
}

/* Called all the same: the loop had read the event before it was deleted, or it was added at the root since. */
static void run_at_root(event_callback_fn callback, void *arg, evutil_socket_t fd, short what)
{
    struct current saved;

    propagate_suspend(&saved);
    callback(fd, what, arg);
    propagate_resume(&saved);
}

/* Whether the callback may be called once more after the call that has just begun. */
static bool is_still_to_run(const struct event *event)
{
    if (event->ev_events & EV_SIGNAL && event->ev_.ev_signal.ev_ncalls > 0)
        return true;
    return event->ev_events & EV_PERSIST && event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL);
}

/* As far as a base has no other thread: else the time may be another one by now. */
static void note_due(struct wrapped_event *wrapped)
{
    /* libevent marks time-outs that many events have in common in the bits that are left. */
    enum { MICROSECONDS = 0xfffff };

    if (wrapped->home->is_guarded) {
        int64_t now_us = time_steady_us();

        wrapped->due = (struct timeval){.tv_sec = now_us / 1000000, .tv_usec = now_us % 1000000};
        return;
    }
    wrapped->due = wrapped->event->ev_timeout;
    wrapped->due.tv_usec &= MICROSECONDS;
}

static void run_wrapped(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_event *wrapped = arg;
    /* An orphan's event has been added to another base, which runs it now. */
    struct base_home *home = wrapped->home ? wrapped->home : base_home_get(wrapped->event->ev_base);
    bool has_lock = take_hold(home);

    if (__builtin_expect(wrapped->state == WRAPPED_EVENT_HUSK, 0)) {
        event_callback_fn callback = wrapped->callback;
        void *own = wrapped->arg;

        /* What is being finalized has its finalizer where the callback was, and this record as its argument. */
        struct wrapped_event *ended = wrapped->finalizer ? NULL : wrapped_event_detach(wrapped);
        let_loose(home, has_lock);
        wrapped_event_end(ended);
        run_at_root(callback, own, fd, what);
        return;
    }
    bool is_last = wrapped->running == 0 && !is_still_to_run(wrapped->event);
    wrapped->running++;
    if (is_last) {
        /* Before the callback, which may free the memory of an event that waits for nothing any more. */
        note_due(wrapped);
        restore(wrapped);
        become(wrapped, WRAPPED_EVENT_LAST);
        home->firing = wrapped;
    }
    let_loose(home, has_lock);
    if (is_last)
        run_last(wrapped, fd, what);
    else
        run_once_more(wrapped, fd, what);
}

void wrapped_event_run_once(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_event *wrapped = arg;
    bool has_lock = take_hold(wrapped->home);

    wrapped->running++;
    become(wrapped, WRAPPED_EVENT_LAST);
    let_loose(wrapped->home, has_lock);
    run_last(wrapped, fd, what);
}

/* ---- A base's end ---- */

static bool is_of_event(const struct operation *operation)
{
    const struct operation_class *class = operation->class;

    return class == &timer_class || class == &fd_class || class == &signal_class || class == &once_class;
}

void wrapped_event_end_all(struct base_home *home)
{
    for (;;) {
        struct wrapped_event *ended = NULL;
        struct operation *operation;

        operation_home_lock(&home->operations);
        LIST_FOREACH (operation, &home->operations.pending, pending) {
            if (!is_of_event(operation))
                continue;
            struct wrapped_event *wrapped = container_of(operation, struct wrapped_event, operation);
            if (wrapped->state != WRAPPED_EVENT_DROPPED && (ended = wrapped_event_detach(wrapped)))
                break;
        }
        operation_home_unlock(&home->operations);
        if (!ended)
            return;
        wrapped_event_end(ended);
    }
}
