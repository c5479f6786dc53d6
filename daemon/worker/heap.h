/*
 * The worker's heap, which is given back to the system after a peak.
 */
#pragma once

#include <stddef.h>

/* All zero at first. */
struct heap {
    size_t most;  /* bytes that were in use, since the heap was last given back */
    size_t least; /* bytes of the process that were in memory since then; 0: not known */
    unsigned calm_looks;
};

/* To be called before the first job, and once a second; `in_use` is the most since the last call, in bytes, that is
 * known to be in use. */
void heap_look(struct heap *heap, size_t in_use);
