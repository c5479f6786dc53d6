/*
 * Wrapped events: events and calls of event_base_once() whose callbacks run in the context that they were scheduled
 * in. While an event is followed, its callback and argument are weft's; they are the user's again before the callback
 * runs for the last time.
 *
 * A record belongs to the home of its event's base. All of these functions but those that say otherwise want that home
 * in hand: on the thread that alone may touch it (base_home_own()), or with its lock held.
 */
#pragma once

#include <sys/queue.h>

#include <event2/event_struct.h>

#include "context/propagate/base_home.h"
#include "context/propagate/propagate.h"

enum wrapped_event_state {
    WRAPPED_EVENT_ARMED,   /* its callback will be run: by its event, or it is a call of event_base_once() */
    WRAPPED_EVENT_LAST,    /* its callback runs for the last time, unless that arms the event again */
    WRAPPED_EVENT_DROPPED, /* nothing refers to it; freed when the last call returns */
    /* Another thread has deleted the event without waiting for the loop, which may have read half of it: it keeps
     * weft's callback, but holds no context. In the base's list until the event is scheduled, finalized or freed. */
    WRAPPED_EVENT_HUSK,
};

struct wrapped_event {
    struct operation operation;
    union {
        struct base_home *home;                /* NULL: a husk whose base is gone */
        SLIST_ENTRY(wrapped_event) next_spare; /* while the record is free */
    };
    /* NULL: a call of event_base_once(). Of WRAPPED_EVENT_LAST it may have been freed. */
    struct event *event;
    event_callback_fn callback;
    void *arg;
    event_finalize_callback_fn finalizer; /* of a husk that is being finalized */
    int64_t timeout_us;                   /* as it was armed with; -1: without one */
    struct timeval due;                   /* of WRAPPED_EVENT_LAST: when it was, on the base's clock */
    unsigned running;                     /* calls of the callback that have not returned */
    enum wrapped_event_state state;       /* changed by become() only */
    LIST_ENTRY(wrapped_event) husks;
};

/* Where an event keeps its callback and argument. */
#define wrapped_event_callback_of(event_) ((event_)->ev_evcallback.evcb_cb_union.evcb_callback)
#define wrapped_event_arg_of(event_)      ((event_)->ev_evcallback.evcb_arg)

/* The record of an event, or NULL: it is not followed. */
struct wrapped_event *wrapped_event_of(const struct event *event);

/* A record for an event, or for a call of event_base_once() (NULL), in the current context. NULL when there is no
 * memory. To be called without the lock: hooks are told. */
struct wrapped_event *wrapped_event_new(struct base_home *home, const struct event *event, const void *place);

/* Makes the event followed, which is armed with `timeout` (may be NULL). */
void wrapped_event_install(struct wrapped_event *wrapped, struct event *event, const struct timeval *timeout);

/* The same for an event that its own callback arms again in the same place, which is what most timers do: it goes on as
 * it was. NULL where it is not one. */
struct wrapped_event *wrapped_event_again(struct base_home *home, struct event *event, const struct timeval *timeout,
                                          const void *place);

/* For a call of event_base_once(), which the caller makes with wrapped_event_run_once() as its callback. */
void wrapped_event_once(struct wrapped_event *wrapped, event_callback_fn callback, void *arg);
void wrapped_event_run_once(evutil_socket_t fd, short what, void *arg);

/* Gives the event its own callback back. Gives the record, for wrapped_event_end(), or NULL: the callback is running,
 * and it ends when that returns. */
struct wrapped_event *wrapped_event_detach(struct wrapped_event *wrapped) WEFT_MUST_CHECK;

/* Releases the context and frees the record. To be called without the lock. Takes NULL. */
void wrapped_event_end(struct wrapped_event *wrapped);

/* The event has been deleted by a thread that must not touch it: makes the record a husk, which stays until
 * wrapped_event_return() whatever becomes of it. */
void wrapped_event_hollow(struct wrapped_event *wrapped);

/* A call of its callback has returned, or it is hollow and the lock is given back: ends what has to end. To be called
 * without the lock. */
void wrapped_event_return(struct wrapped_event *wrapped);

/* What libevent is given in place of a husk's finalizer. */
void wrapped_event_run_finalizer(struct event *event, void *arg);

/* Before a base is freed: all of its events have their own callbacks again. To be called without the lock. */
void wrapped_event_end_all(struct base_home *home);

/* After it has been freed: what husks are left belongs to no base any more. They stay, since nobody can tell whether
 * their events do. */
void wrapped_event_orphan(struct base_home *home);

/* Frees the records that this thread keeps to use again. */
void wrapped_event_drain(void);
