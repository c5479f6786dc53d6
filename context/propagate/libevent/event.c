/* Events: event_add() and everything else that schedules one, or sees to it that it is not called any more. */
#include <stdio.h>

#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"
#include "context/propagate/wrapped_event.h"

PROPAGATE_LINKED(events);

/* ---- Scheduling ---- */

/* The record that the event has from now on, or NULL. An event that is followed in the same context already, as one
 * that is armed by its own callback, keeps its record. */
static struct wrapped_event *follow(struct event *event, struct wrapped_event *old, const struct timeval *timeout,
                                    const void *place)
{
    if (old && old->operation.info.context == current_state.context)
        return old;
    if (old)
        wrapped_event_drop(old);
    struct wrapped_event *again = wrapped_event_again(event, timeout, place);
    if (again)
        return again;
    return propagate_follows((void *)wrapped_event_callback_of(event)) ? wrapped_event_new(event, timeout, place)
                                                                       : NULL;
}

PROPAGATE_EXPORT int event_add(struct event *event, const struct timeval *timeout)
{
    struct wrapped_event *old = wrapped_event_of(event);

    if ((!old && !current_state.context) || propagate_owner(event->ev_base) == BASE_RUN_ELSEWHERE)
        return REAL(event_add)(event, timeout);

    struct wrapped_event *wrapped = follow(event, old, timeout, OPERATION_PLACE());
    int r = REAL(event_add)(event, timeout);
    if (r < 0 && wrapped && wrapped != old)
        wrapped_event_drop(wrapped);
    return r;
}

/* One that waits for something, or is active already, keeps the context that it was scheduled in. */
PROPAGATE_EXPORT void event_active(struct event *event, int what, short calls)
{
    if (current_state.context && !wrapped_event_of(event) && propagate_owner(event->ev_base) != BASE_RUN_ELSEWHERE &&
        !event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL) &&
        !wrapped_event_again(event, NULL, OPERATION_PLACE()) &&
        propagate_follows((void *)wrapped_event_callback_of(event)))
        (void)wrapped_event_new(event, NULL, OPERATION_PLACE());
    REAL(event_active)(event, what, calls);
}

PROPAGATE_EXPORT int event_base_once(struct event_base *base, evutil_socket_t fd, short what,
                                     event_callback_fn callback, void *arg, const struct timeval *timeout)
{
    struct wrapped_event *wrapped = NULL;

    if (propagate_follows((void *)callback))
        wrapped = wrapped_event_once_new(base, callback, arg, OPERATION_PLACE());
    if (!wrapped)
        return REAL(event_base_once)(base, fd, what, callback, arg, timeout);

    int r = REAL(event_base_once)(base, fd, what, wrapped_event_run_once, wrapped, timeout);
    if (r < 0)
        wrapped_event_drop(wrapped);
    return r;
}

/* ---- Taking back ---- */

/* After the library's function, which may wait for a callback that another thread runs. */
static int taken_back(struct wrapped_event *wrapped, int r)
{
    if (wrapped)
        wrapped_event_drop(wrapped);
    return r;
}

PROPAGATE_EXPORT int event_del(struct event *event)
{
    int r = REAL(event_del)(event);

    return taken_back(wrapped_event_of(event), r);
}

PROPAGATE_EXPORT int event_del_block(struct event *event)
{
    int r = REAL(event_del_block)(event);

    return taken_back(wrapped_event_of(event), r);
}

PROPAGATE_EXPORT int event_del_noblock(struct event *event)
{
    int r = REAL(event_del_noblock)(event);

    return taken_back(wrapped_event_of(event), r);
}

/* An event that waited for its time only has nothing more to wait for. */
PROPAGATE_EXPORT int event_remove_timer(struct event *event)
{
    int r = REAL(event_remove_timer)(event);
    bool waits = event_pending(event, EV_READ | EV_WRITE | EV_TIMEOUT | EV_SIGNAL, NULL);

    return waits ? r : taken_back(wrapped_event_of(event), r);
}

PROPAGATE_EXPORT int event_finalize(unsigned flags, struct event *event, event_finalize_callback_fn callback)
{
    wrapped_event_drop(wrapped_event_of(event));
    return REAL(event_finalize)(flags, event, callback);
}

PROPAGATE_EXPORT int event_free_finalize(unsigned flags, struct event *event, event_finalize_callback_fn callback)
{
    wrapped_event_drop(wrapped_event_of(event));
    return REAL(event_free_finalize)(flags, event, callback);
}

PROPAGATE_EXPORT void event_base_free(struct event_base *base)
{
    wrapped_event_drop_all(base);
    wrapped_callback_free_base(base, REAL(event_base_free));
}

PROPAGATE_EXPORT void event_base_free_nofinalize(struct event_base *base)
{
    wrapped_event_drop_all(base);
    wrapped_callback_free_base(base, REAL(event_base_free_nofinalize));
}

/* ---- Asking ---- */

PROPAGATE_EXPORT event_callback_fn event_get_callback(const struct event *event)
{
    const struct wrapped_event *wrapped = wrapped_event_of(event);

    return wrapped ? wrapped->callback : REAL(event_get_callback)(event);
}

PROPAGATE_EXPORT void *event_get_callback_arg(const struct event *event)
{
    const struct wrapped_event *wrapped = wrapped_event_of(event);

    return wrapped ? wrapped->arg : REAL(event_get_callback_arg)(event);
}

PROPAGATE_EXPORT void event_get_assignment(const struct event *event, struct event_base **ret_base,
                                           evutil_socket_t *ret_fd, short *ret_events, event_callback_fn *ret_callback,
                                           void **ret_arg)
{
    const struct wrapped_event *wrapped = wrapped_event_of(event);

    REAL(event_get_assignment)(event, ret_base, ret_fd, ret_events, ret_callback, ret_arg);
    if (wrapped && ret_callback)
        *ret_callback = wrapped->callback;
    if (wrapped && ret_arg)
        *ret_arg = wrapped->arg;
}
