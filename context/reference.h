/*
 * Reference counts that threads share.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

static inline void reference_take(atomic_uint *references)
{
    atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
}

/* Whether the last reference was just given up, with everything that other threads did before visible. */
static inline bool reference_drop(atomic_uint *references)
{
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
