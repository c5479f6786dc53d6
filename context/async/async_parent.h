/*
 * Origins: how the code that began an operation came to run, one link an operation, the latest first. A chain is
 * bounded: an operation that begins itself again, as a timer that is armed by its own callback, adds no link, and of a
 * long chain the oldest links are dropped.
 *
 * References are not atomic: a chain belongs to one thread; origin_copy() makes one that can be handed to another.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <weft/hooks.h>

enum { ORIGIN_DEPTH_MAX = 16, ORIGIN_NAME_SIZE = 32 };

struct origin {
    struct origin *parent; /* one reference */
    unsigned references;
    unsigned depth; /* links, this one included */
    const char *kind;
    const void *place;
    char name[ORIGIN_NAME_SIZE]; /* "": none; long ones are cut */
};

/* The link for code that `told` runs, which was itself begun by code that `parent` (borrowed) led to. NULL when there
 * is no memory: the stack is then shorter, and nothing else is wrong. */
struct origin *origin_new(const struct weft_operation *told, struct origin *parent);

/* A chain of its own with the same links. NULL of NULL, and when there is no memory. */
struct origin *origin_copy(const struct origin *origin);

struct origin *origin_ref(struct origin *origin);   /* takes NULL */
struct origin *origin_unref(struct origin *origin); /* takes NULL, gives NULL */

/* Appends "BEFOREKIND NAME at PLACE" (without what is NULL) to the `size` bytes of buffer, of which `used` are used
 * (more than `size`: all); gives what would be used in a buffer that is large enough. */
size_t origin_write_one(const char *kind, const char *name, const void *place, const char *before, char *buffer,
                        size_t size, size_t used);

/* The same with ", started by KIND NAME at PLACE" for each link. */
size_t origin_write(const struct origin *origin, char *buffer, size_t size, size_t used);
