/*
 * Wrapped events: events and calls of event_base_once() whose callbacks run in the context that they were scheduled
 * in. While an event is followed, its callback and argument are weft's; they are the user's again before the callback
 * runs for the last time.
 */
#pragma once

#include <sys/queue.h>

#include <event2/event_struct.h>

#include "context/propagate/propagate.h"

struct wrapped_event {
    struct operation operation;
    union {
        struct event_base *base;
        SLIST_ENTRY(wrapped_event) next_spare; /* while the record is free */
    };
    struct event *event; /* NULL: a call of event_base_once() */
    event_callback_fn callback;
    void *arg;
    int64_t timeout_us;  /* as it was armed with */
    struct event *fired; /* while the callback runs for the last time: the event that it may arm again */
    unsigned running;    /* calls of the callback that have not returned */
    bool dropped;        /* nothing refers to it any more; freed when the last call returns */
};

/* Where an event keeps its callback and argument. */
#define wrapped_event_callback_of(event_) ((event_)->ev_evcallback.evcb_cb_union.evcb_callback)
#define wrapped_event_arg_of(event_)      ((event_)->ev_evcallback.evcb_arg)

/* The record of an event, or NULL: it is not followed. */
struct wrapped_event *wrapped_event_of(const struct event *event);

/* Makes an event followed, in the current context, which is armed with `timeout` (may be NULL). NULL when there is no
 * memory. */
struct wrapped_event *wrapped_event_new(struct event *event, const struct timeval *timeout, const void *place);

/* The same for an event that its own callback arms again in the same place, which is what most timers do: it goes on as
 * it was. NULL where it is not one. */
struct wrapped_event *wrapped_event_again(struct event *event, const struct timeval *timeout, const void *place);

/* The same for a call of event_base_once(), which the caller makes with wrapped_event_run_once() as its callback. */
struct wrapped_event *wrapped_event_once_new(struct event_base *base, event_callback_fn callback, void *arg,
                                             const void *place);
void wrapped_event_run_once(evutil_socket_t fd, short what, void *arg);

/* Gives the event its own callback back, releases the context, and frees the record (after the callback, if that is
 * running). Takes NULL. */
void wrapped_event_drop(struct wrapped_event *wrapped);

/* Drops all that belong to a base which is about to be freed. */
void wrapped_event_drop_all(const struct event_base *base);

/* Frees the records that this thread keeps to use again. */
void wrapped_event_drain(void);
