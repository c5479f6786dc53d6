#include "context/witness.h"

#include <stddef.h>

#include "context/frame.h"

/* Where threads write that have no place: so that telling needs no question. */
static atomic_uintptr_t nowhere;

static _Thread_local atomic_uintptr_t *witness_place = &nowhere;

void witness_install(atomic_uintptr_t *place)
{
    witness_place = place ? place : &nowhere;
}

void witness_tell(const struct weft_context *context)
{
    atomic_store_explicit(witness_place, (uintptr_t)frame_owner(context), memory_order_relaxed);
}

uintptr_t witness_told(void)
{
    return witness_place == &nowhere ? 0 : atomic_load_explicit(witness_place, memory_order_relaxed);
}
