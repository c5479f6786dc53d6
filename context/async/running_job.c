#include "context/async/running_job.h"

#include <stddef.h>

/* Where threads write that have no place: so that telling needs no question. */
static atomic_uintptr_t nowhere;
static atomic_uintptr_t uncounted;

_Thread_local atomic_uintptr_t *witness_place = &nowhere;
_Thread_local atomic_uintptr_t *witness_turns = &uncounted;

void witness_install(atomic_uintptr_t *place)
{
    witness_place = place ? place : &nowhere;
}

void witness_count(atomic_uintptr_t *turns)
{
    witness_turns = turns ? turns : &uncounted;
}

uintptr_t witness_told(void)
{
    return witness_place == &nowhere ? 0 : atomic_load_explicit(witness_place, memory_order_relaxed);
}
