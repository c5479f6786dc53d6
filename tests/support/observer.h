/*
 * A hook that writes down what it is told, and checks that it is told in the right context.
 */
#pragma once

#include <event2/event.h>

#include <weft/hooks.h>

#include "tests/support/expect.h"
#include "tests/support/trace.h"

struct observer {
    struct weft_hook hook;
    const char *kind;   /* only of these; NULL: all */
    const char *wanted; /* of `a`, where it is told */
    uint64_t id;        /* of the operation that began last */
    uint64_t trigger;
    int depth; /* of `before` without `after` */
};

static inline bool observer_concerns(const struct weft_operation *operation, const struct observer *observer)
{
    EXPECT(operation->id != 0);
    EXPECT(operation->context != NULL);
    EXPECT_TEXT(weft_get("a"), observer->wanted);
    return !observer->kind || strcmp(observer->kind, operation->kind) == 0;
}

static inline void observer_note_init(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!observer_concerns(operation, observer))
        return;
    observer->id = operation->id;
    observer->trigger = operation->trigger;
    trace_add('i');
}

static inline void observer_note_before(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!observer_concerns(operation, observer))
        return;
    EXPECT_EQUAL(weft_operation_current(), operation->id);
    observer->depth++;
    trace_add('b');
}

static inline void observer_note_after(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!observer_concerns(operation, observer))
        return;
    EXPECT_EQUAL(observer->depth--, 1);
    trace_add('a');
}

static inline void observer_note_destroy(const struct weft_operation *operation, void *user)
{
    if (observer_concerns(operation, user))
        trace_add('d');
}

static inline void observer_begin(struct observer *observer, const char *kind, const char *wanted)
{
    *observer = (struct observer){
        .hook = {.init = observer_note_init,
                 .before = observer_note_before,
                 .after = observer_note_after,
                 .destroy = observer_note_destroy},
        .kind = kind,
        .wanted = wanted,
    };
    observer->hook.user = observer;
    trace_clear();
    weft_hook_add(&observer->hook);
}

static inline void observer_end(struct observer *observer, const char *wanted)
{
    weft_hook_remove(&observer->hook);
    EXPECT_TEXT(trace, wanted);
}

static inline void observer_call(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    trace_add('.');
}
