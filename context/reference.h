/*
 * Reference counts that threads share.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/single_threaded.h>

/* While a process has one thread, which is the rule for a worker, it is spared the locked instructions, which are most
 * of what capturing a context costs. */
static inline void reference_take(atomic_uint *references)
{
    if (__libc_single_threaded)
        atomic_store_explicit(references, atomic_load_explicit(references, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    else
        atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
}

/* Whether the last reference was just given up, with everything that other threads did before visible. */
static inline bool reference_drop(atomic_uint *references)
{
    if (__libc_single_threaded) {
        unsigned left = atomic_load_explicit(references, memory_order_relaxed) - 1;

        atomic_store_explicit(references, left, memory_order_relaxed);
        return left == 0;
    }
    if (atomic_fetch_sub_explicit(references, 1, memory_order_release) != 1)
        return false;
    (void)atomic_load_explicit(references, memory_order_acquire);
    return true;
}

/* Whether the caller holds the only reference, so that nobody else can come to hold one meanwhile. */
static inline bool reference_is_only(const atomic_uint *references)
{
    return atomic_load_explicit(references, memory_order_acquire) == 1;
}
