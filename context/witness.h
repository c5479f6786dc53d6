/*
 * The witness: a place where a thread leaves word of whose code it is about to run. Whoever can see the place, in
 * memory that processes share, learns it even after a death that nobody is told of, such as SIGKILL.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "context/frame.h"

/* Where this thread leaves its word. */
extern _Thread_local atomic_uintptr_t *witness_place;

/* From now on this thread leaves its word in `place`, which must live as long as the thread runs tasks and callbacks;
 * NULL: nowhere that matters. */
void witness_install(atomic_uintptr_t *place);

/* Leaves word: the owner of the context's flow of work (frame_owner()), as a number, or 0. For those who resume tasks
 * and run callbacks, before they do and after. Runs inside of these do not change it: their code is still the task's.
 */
static inline void witness_tell(const struct weft_context *context)
{
    atomic_store_explicit(witness_place, (uintptr_t)frame_owner(context), memory_order_relaxed);
}

/* What this thread told last. May be called by a signal handler. */
uintptr_t witness_told(void);
