/*
 * Loops for tests: each on a base of its own, gone before the test goes on.
 */
#pragma once

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/task.h>

#include "tests/support/expect.h"

struct loop_support {
    struct event_base *base;
    struct weft_loop *loop;
};

static inline struct loop_support loop_support_begin(void)
{
    struct loop_support support = {.base = event_base_new()};

    assert_non_null(support.base);
    assert_int_equal(weft_loop_new(support.base, &support.loop), 0);
    return support;
}

/* Runs until nothing is left to do. */
static inline void loop_support_end(struct loop_support *support)
{
    EXPECT(event_base_dispatch(support->base) >= 0);
    support->loop = weft_loop_free(support->loop);
    event_base_free(support->base);
}

/* Runs fn(arg) as a task, and everything that it starts, to the end. */
static inline void loop_support_run(int (*fn)(void *arg), void *arg)
{
    struct loop_support support = loop_support_begin();

    EXPECT(weft_spawn("test", fn, arg) != NULL);
    loop_support_end(&support);
}
