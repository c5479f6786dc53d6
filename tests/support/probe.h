/*
 * Plain libevent callbacks that look at the context they run in, and ways to schedule them in one.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "tests/support/expect.h"
#include "tests/support/trace.h"

static const struct timeval at_once;
static const struct timeval soon = {.tv_usec = 1000};

/* A callback, and what it is to see. */
struct probe {
    struct event_base *base;
    struct event *event;
    const char *wanted;
    int left; /* calls until it ends what it does */
};

static inline void look(evutil_socket_t fd, short what, void *arg)
{
    const struct probe *probe = arg;

    (void)fd;
    (void)what;
    trace_add('.');
    EXPECT_TEXT(weft_get("a"), probe->wanted);
}

/* Calls fn(arg) where `a` is `value`, or at the root. */
static inline void with(const char *value, int (*fn)(void *arg), void *arg)
{
    EXPECT_EQUAL(value ? weft_run_with("a", value, fn, arg) : weft_exit(fn, arg), 0);
}

static inline int add_at_once(void *event)
{
    return event_add(event, &at_once);
}

static inline int add_soon(void *event)
{
    return event_add(event, &soon);
}

static inline int add_for_long(void *event)
{
    return event_add(event, &(struct timeval){.tv_sec = 3600});
}

static inline int add_without_time(void *event)
{
    return event_add(event, NULL);
}

static inline struct event_base *begin(void)
{
    trace_clear();
    return event_base_new();
}

static inline void end(struct event_base *base, const char *wanted_trace)
{
    event_base_free(base);
    EXPECT_TEXT(trace, wanted_trace);
}
