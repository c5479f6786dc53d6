/*
 * Async parents: how the code that began an operation came to run, one link an operation, the latest first. A chain is
 * bounded: an operation that begins itself again, as a timer that is armed by its own callback, adds no link, and of a
 * long chain the oldest links are dropped.
 *
 * A link does not change once it is made, and may be referenced and released from any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <weft/hooks.h>

#include "context/reference.h"

enum { ASYNC_PARENT_DEPTH_MAX = 16, ASYNC_PARENT_NAME_SIZE = 32 };

struct async_parent {
    struct async_parent *parent; /* one reference */
    atomic_uint references;
    unsigned depth; /* links, this one included */
    const char *kind;
    const void *place;
    char name[ASYNC_PARENT_NAME_SIZE]; /* "": none; long ones are cut */
};

/* The link for code that `info` runs, which was itself begun by code that `parent` (borrowed) led to. NULL when there
 * is no memory: the stack is then shorter, and nothing else is wrong. */
struct async_parent *async_parent_new(const struct weft_operation *info, struct async_parent *parent);

struct async_parent *async_parent_ref(struct async_parent *async_parent);   /* takes NULL */
struct async_parent *async_parent_unref(struct async_parent *async_parent); /* takes NULL, gives NULL */

/* Appends "BEFOREKIND NAME at PLACE" (without what is NULL) to the `size` bytes of buffer, of which `used` are used
 * (more than `size`: all); gives what would be used in a buffer that is large enough. */
size_t async_parent_write_one(const char *kind, const char *name, const void *place, const char *before, char *buffer,
                              size_t size, size_t used);

/* The same with ", started by KIND NAME at PLACE" for each link. */
size_t async_parent_write(const struct async_parent *async_parent, char *buffer, size_t size, size_t used);
