/*
 * A bump allocator: many small allocations that are given back all at once. For replies of Redis, which are made of
 * thousands of objects and die together.
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the one in use first */
    char *cursor;
    char *end;
};

/* An arena that is all zero is empty and ready. */

/* `size` bytes, uninitialised, aligned for any object; valid until the arena is reset. NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((warn_unused_result, malloc));

/* Gives back all allocations at once, and memory beyond the usual need to the system. */
void arena_reset(struct arena *arena);

/* Frees everything. */
void arena_done(struct arena *arena);
