/*
 * A job's memory: given piece by piece, freed all at once.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <sys/queue.h>

struct memory_chunk;

/* Zero-initialised it is empty. */
struct memory {
    SLIST_HEAD(, memory_chunk) chunks;
    size_t left; /* in the first chunk */
};

void memory_done(struct memory *memory);

/* Zeroed, aligned for any type, never NULL for want of size. Gives NULL without memory. */
void *memory_get(struct memory *memory, size_t size);

/* What printf would print. Gives NULL without memory. */
char *memory_vprintf(struct memory *memory, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
