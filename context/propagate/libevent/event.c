/* Events: event_add() and everything else that schedules one, or sees to it that it is not called any more. */
#include <event2/event_compat.h>

#include "context/propagate/libevent/evbuffer.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"
#include "context/propagate/wrapped_event.h"

PROPAGATE_LINKED(events);

/* ---- Scheduling ---- */

static bool is_waiting(const struct event *event)
{
    return event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL);
}

/* The record that the event has from now on, or NULL. An event that is followed in the same context already, as one
 * that is armed by its own callback, keeps its record. Its base is this thread's alone. */
static struct wrapped_event *follow(struct base_home *home, struct event *event, struct wrapped_event *old,
                                    const struct timeval *timeout, const void *place)
{
    if (old && old->operation.info.context == current_state.context)
        return old;
    if (old)
        wrapped_event_end(wrapped_event_detach(old));
    struct wrapped_event *wrapped = wrapped_event_again(home, event, timeout, place);
    if (wrapped || !propagate_follows_event((void *)wrapped_event_callback_of(event)))
        return wrapped;
    wrapped = wrapped_event_new(home, event, place);
    if (wrapped)
        wrapped_event_install(wrapped, event, timeout);
    return wrapped;
}

static int add_here(struct base_home *home, struct event *event, struct wrapped_event *old,
                    const struct timeval *timeout, const void *place)
{
    struct wrapped_event *wrapped = follow(home, event, old, timeout, place);
    int r = REAL(event_add)(event, timeout);

    if (r < 0 && wrapped && wrapped != old)
        wrapped_event_end(wrapped_event_detach(wrapped));
    return r;
}

/* Where others may touch the base as well. What is looked at and changed under the lock is made without it, so that no
 * hook, and nobody who loads a library, waits for the lock meanwhile. */
struct scheduling {
    struct base_home *home;
    struct event *event;
    const struct timeval *timeout;
    const void *place;
    bool is_activation;              /* event_active(): an event that waits for something keeps what it has */
    struct wrapped_event *fresh;     /* for the event, until it is installed */
    struct wrapped_event *installed; /* what has been */
    struct wrapped_event *ended;     /* what the event had before */
};

/* With the lock held. Gives whether a record for this callback is wanting. */
static bool is_wanting(struct scheduling *scheduling, event_callback_fn *ret_callback)
{
    struct event *event = scheduling->event;
    struct wrapped_event *old = wrapped_event_of(event);

    if (base_home_runs_elsewhere(scheduling->home) || (scheduling->is_activation && (old || is_waiting(event))))
        return false;
    if (old && old->state == WRAPPED_EVENT_ARMED && old->operation.info.context == current_state.context)
        return false;
    if (old)
        scheduling->ended = wrapped_event_detach(old);
    scheduling->installed = wrapped_event_again(scheduling->home, event, scheduling->timeout, scheduling->place);
    if (scheduling->installed)
        return false;
    *ret_callback = wrapped_event_callback_of(event);
    return propagate_may_follow() && !scheduling->fresh;
}

/* Gives with the lock held. */
static void follow_locked(struct scheduling *scheduling)
{
    event_callback_fn callback;

    operation_home_lock(&scheduling->home->operations);
    if (!is_wanting(scheduling, &callback))
        return;
    operation_home_unlock(&scheduling->home->operations);
    if (propagate_follows_event((void *)callback))
        scheduling->fresh = wrapped_event_new(scheduling->home, scheduling->event, scheduling->place);
    operation_home_lock(&scheduling->home->operations);
    /* The loop may have begun to run elsewhere, or another thread may have added the event. */
    if (scheduling->fresh && !base_home_runs_elsewhere(scheduling->home) && !wrapped_event_of(scheduling->event) &&
        wrapped_event_callback_of(scheduling->event) == callback) {
        wrapped_event_install(scheduling->fresh, scheduling->event, scheduling->timeout);
        scheduling->installed = scheduling->fresh;
        scheduling->fresh = NULL;
    }
}

/* Without the lock. */
static void scheduling_done(const struct scheduling *scheduling)
{
    wrapped_event_end(scheduling->ended);
    wrapped_event_end(scheduling->fresh);
}

static int add_locked(struct base_home *home, struct event *event, const struct timeval *timeout, const void *place)
{
    struct scheduling scheduling = {.home = home, .event = event, .timeout = timeout, .place = place};

    follow_locked(&scheduling);
    int r = REAL(event_add)(event, timeout);
    struct wrapped_event *failed = r < 0 && scheduling.installed ? wrapped_event_detach(scheduling.installed) : NULL;
    operation_home_unlock(&home->operations);
    wrapped_event_end(failed);
    scheduling_done(&scheduling);
    return r;
}

PROPAGATE_EXPORT int event_add(struct event *event, const struct timeval *timeout)
{
    /* Without locking, a base that is not in a loop of this thread's is in nobody's. */
    if (!base_locking() && !propagate_may_follow() && !wrapped_event_of(event))
        return REAL(event_add)(event, timeout);

    struct base_home *home = base_home_own(event->ev_base);
    if (__builtin_expect(home != NULL, 1))
        return add_here(home, event, wrapped_event_of(event), timeout, OPERATION_PLACE());
    home = event->ev_base ? base_home_get(event->ev_base) : NULL;
    return home ? add_locked(home, event, timeout, OPERATION_PLACE()) : REAL(event_add)(event, timeout);
}

/* One that waits for something, or is active already, keeps the context that it was scheduled in. */
PROPAGATE_EXPORT void event_active(struct event *event, int what, short calls)
{
    struct base_home *home = propagate_may_follow() && event->ev_base ? base_home_get(event->ev_base) : NULL;

    if (home) {
        struct scheduling scheduling = {
            .home = home, .event = event, .place = OPERATION_PLACE(), .is_activation = true};

        follow_locked(&scheduling);
        operation_home_unlock(&home->operations);
        scheduling_done(&scheduling);
    }
    REAL(event_active)(event, what, calls);
}

static int base_once(struct event_base *base, evutil_socket_t fd, short what, event_callback_fn callback, void *arg,
                     const struct timeval *timeout, const void *place)
{
    struct base_home *home = base && propagate_follows((void *)callback) ? base_home_get(base) : NULL;
    struct wrapped_event *wrapped = home ? wrapped_event_new(home, NULL, place) : NULL;

    if (!wrapped)
        return REAL(event_base_once)(base, fd, what, callback, arg, timeout);
    wrapped_event_once(wrapped, callback, arg);
    int r = REAL(event_base_once)(base, fd, what, wrapped_event_run_once, wrapped, timeout);
    if (r < 0)
        wrapped_event_end(wrapped);
    return r;
}

PROPAGATE_EXPORT int event_base_once(struct event_base *base, evutil_socket_t fd, short what,
                                     event_callback_fn callback, void *arg, const struct timeval *timeout)
{
    return base_once(base, fd, what, callback, arg, timeout, OPERATION_PLACE());
}

PROPAGATE_EXPORT int event_once(evutil_socket_t fd, short what, event_callback_fn callback, void *arg,
                                const struct timeval *timeout)
{
    return base_once(propagate_global_base(), fd, what, callback, arg, timeout, OPERATION_PLACE());
}

/* ---- Taking back ---- */

/* Whether the library's function has waited for a callback of the event that another thread was running. */
enum waiting { HAS_WAITED, MAY_BE_RUNNING };

/* With the lock held, when an event has been deleted. Gives the record that is to be ended without it. */
static struct wrapped_event *take_back(struct base_home *home, struct event *event, enum waiting waiting,
                                       struct wrapped_event **ret_hollow)
{
    struct wrapped_event *wrapped = wrapped_event_of(event);
    bool elsewhere = base_home_runs_elsewhere(home);

    /* Somebody may have added it again by now. */
    if (!wrapped || wrapped->state == WRAPPED_EVENT_HUSK || (elsewhere && is_waiting(event)))
        return NULL;
    if (!elsewhere || waiting == HAS_WAITED)
        return wrapped_event_detach(wrapped);
    wrapped_event_hollow(wrapped);
    *ret_hollow = wrapped;
    return NULL;
}

/* After the library's function. */
static void taken_back(struct event *event, enum waiting waiting)
{
    struct base_home *home = base_home_own(event->ev_base);
    struct wrapped_event *wrapped, *hollow = NULL;

    if (home) {
        wrapped = wrapped_event_of(event);
        if (wrapped)
            wrapped_event_end(wrapped_event_detach(wrapped));
        return;
    }
    if (!base_locking() && !wrapped_event_of(event))
        return;
    home = base_home_find(event->ev_base);
    if (!home)
        return;
    operation_home_lock(&home->operations);
    wrapped = take_back(home, event, waiting, &hollow);
    operation_home_unlock(&home->operations);
    wrapped_event_end(wrapped);
    if (hollow)
        wrapped_event_return(hollow);
}

PROPAGATE_EXPORT int event_del(struct event *event)
{
    int r = REAL(event_del)(event);

    taken_back(event, HAS_WAITED);
    return r;
}

PROPAGATE_EXPORT int event_del_block(struct event *event)
{
    int r = REAL(event_del_block)(event);

    taken_back(event, HAS_WAITED);
    return r;
}

PROPAGATE_EXPORT int event_del_noblock(struct event *event)
{
    int r = REAL(event_del_noblock)(event);

    taken_back(event, MAY_BE_RUNNING);
    return r;
}

/* An event that waited for its time only has nothing more to wait for. */
PROPAGATE_EXPORT int event_remove_timer(struct event *event)
{
    int r = REAL(event_remove_timer)(event);

    if (!is_waiting(event))
        taken_back(event, MAY_BE_RUNNING);
    return r;
}

/* libevent deletes it by an inner call, which need not come by here. A husk gets its own callback back, too: nothing
 * reads the event any more. */
PROPAGATE_EXPORT void event_free(struct event *event)
{
    if (base_locking() || wrapped_event_of(event)) {
        (void)event_del(event);
        struct base_home *home = base_home_find(event->ev_base);
        struct wrapped_event *ended = NULL;

        if (home) {
            operation_home_lock(&home->operations);
            struct wrapped_event *husk = wrapped_event_of(event);
            ended = husk ? wrapped_event_detach(husk) : NULL;
            operation_home_unlock(&home->operations);
        }
        wrapped_event_end(ended);
    }
    REAL(event_free)(event);
}

/* Where the loop may be reading the event, its own callback is given back by the loop, with the finalizer. */
static event_finalize_callback_fn finalizer_for(struct event *event, event_finalize_callback_fn finalizer)
{
    struct base_home *home = base_home_find(event->ev_base);
    struct wrapped_event *wrapped, *ended = NULL, *hollow = NULL;

    if (!home)
        return finalizer;
    operation_home_lock(&home->operations);
    wrapped = wrapped_event_of(event);
    if (wrapped && base_home_runs_elsewhere(home)) {
        wrapped->finalizer = finalizer;
        finalizer = wrapped_event_run_finalizer;
        wrapped_event_hollow(wrapped);
        hollow = wrapped;
    } else if (wrapped) {
        ended = wrapped_event_detach(wrapped);
    }
    operation_home_unlock(&home->operations);
    wrapped_event_end(ended);
    if (hollow)
        wrapped_event_return(hollow);
    return finalizer;
}

PROPAGATE_EXPORT int event_finalize(unsigned flags, struct event *event, event_finalize_callback_fn callback)
{
    return REAL(event_finalize)(flags, event, finalizer_for(event, callback));
}

PROPAGATE_EXPORT int event_free_finalize(unsigned flags, struct event *event, event_finalize_callback_fn callback)
{
    return REAL(event_free_finalize)(flags, event, finalizer_for(event, callback));
}

/* ---- A base's end ---- */

static void base_free(struct event_base *base, void (*free_base)(struct event_base *base))
{
    /* Made if need be, so that whoever is called meanwhile can see what happens to the base. */
    struct base_home *home = base ? base_home_get(base) : NULL;

    if (home) {
        base_home_end(home);
        wrapped_event_end_all(home);
        buffers_forget_base(base);
    }
    wrapped_callback_free_base(base, free_base);
    if (home) {
        wrapped_event_orphan(home);
        base_home_free(home);
    }
}

PROPAGATE_EXPORT void event_base_free(struct event_base *base)
{
    base_free(base, REAL(event_base_free));
}

PROPAGATE_EXPORT void event_base_free_nofinalize(struct event_base *base)
{
    base_free(base, REAL(event_base_free_nofinalize));
}

/* ---- Asking ---- */

/* The home whose lock this thread holds while a function of the user's looks at all events of its base. */
static _Thread_local const struct base_home *held;

/* What the user gave the event, which another thread may be changing. */
static void ask(const struct event *event, event_callback_fn *ret_callback, void **ret_arg)
{
    struct base_home *home = base_home_own(event->ev_base) ? NULL : base_home_find(event->ev_base);

    if (home && held && home->operations.lock == held->operations.lock)
        home = NULL;
    if (home)
        operation_home_lock(&home->operations);
    const struct wrapped_event *wrapped = wrapped_event_of(event);
    *ret_callback = wrapped ? wrapped->callback : REAL(event_get_callback)(event);
    *ret_arg = wrapped ? wrapped->arg : REAL(event_get_callback_arg)(event);
    if (home)
        operation_home_unlock(&home->operations);
}

PROPAGATE_EXPORT event_callback_fn event_get_callback(const struct event *event)
{
    event_callback_fn callback;
    void *arg;

    ask(event, &callback, &arg);
    return callback;
}

PROPAGATE_EXPORT void *event_get_callback_arg(const struct event *event)
{
    event_callback_fn callback;
    void *arg;

    ask(event, &callback, &arg);
    return arg;
}

PROPAGATE_EXPORT void event_get_assignment(const struct event *event, struct event_base **ret_base,
                                           evutil_socket_t *ret_fd, short *ret_events, event_callback_fn *ret_callback,
                                           void **ret_arg)
{
    event_callback_fn callback;
    void *arg;

    ask(event, &callback, &arg);
    REAL(event_get_assignment)(event, ret_base, ret_fd, ret_events, NULL, NULL);
    if (ret_callback)
        *ret_callback = callback;
    if (ret_arg)
        *ret_arg = arg;
}

/* It holds the lock of libevent's under which that of the home must not be taken. The function may ask, but change
 * nothing. */
PROPAGATE_EXPORT int event_base_foreach_event(struct event_base *base, event_base_foreach_event_cb fn, void *arg)
{
    struct base_home *home = base && !base_home_own(base) ? base_home_find(base) : NULL;

    if (!home)
        return REAL(event_base_foreach_event)(base, fn, arg);
    operation_home_lock(&home->operations);
    held = home;
    int r = REAL(event_base_foreach_event)(base, fn, arg);
    held = NULL;
    operation_home_unlock(&home->operations);
    return r;
}
