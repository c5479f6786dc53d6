#include "context/async/running_job.h"

#include <stddef.h>

/* Where threads write that have no place: so that telling needs no question. */
static atomic_uintptr_t nowhere;
static atomic_uintptr_t uncounted;

_Thread_local atomic_uintptr_t *running_job_pointer = &nowhere;
_Thread_local atomic_uintptr_t *running_job_turns = &uncounted;

void running_job_install(atomic_uintptr_t *place)
{
    running_job_pointer = place ? place : &nowhere;
}

void running_job_count(atomic_uintptr_t *turns)
{
    running_job_turns = turns ? turns : &uncounted;
}

uintptr_t running_job_get(void)
{
    return running_job_pointer == &nowhere ? 0 : atomic_load_explicit(running_job_pointer, memory_order_relaxed);
}
