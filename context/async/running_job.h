/*
 * The running job: where a thread notes whose code it is about to run. Whoever can see it, in
 * memory that processes share, learns it even after a death that nobody is told of, such as SIGKILL.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "context/frame.h"

/* Where this thread leaves its word. */
extern _Thread_local atomic_uintptr_t *running_job_pointer;

/* Where this thread counts how often it has come back from such code. */
extern _Thread_local atomic_uintptr_t *running_job_turns;

/* From now on this thread leaves its word in `place`, which must live as long as the thread runs tasks and callbacks;
 * NULL: nowhere that matters. */
void running_job_install(atomic_uintptr_t *place);

/* From now on this thread counts in `turns`, likewise, how often it has come back from code that somebody owns to code
 * that nobody does. Whoever looks from time to time and finds the same word beside the same number knows that this code
 * has been running all the while; the thread itself reads no clock for that. NULL: nowhere that matters. */
void running_job_count(atomic_uintptr_t *turns);

/* Leaves word: the owner of the context's flow of work (frame_owner()), as a number, or 0. For those who resume tasks
 * and run callbacks, before they do and after. Runs inside of these do not change it: their code is still the task's.
 */
static inline void running_job_set(const struct weft_context *context)
{
    uintptr_t owner = (uintptr_t)frame_owner(context);

    /* Nobody else writes to either. */
    bool changes = owner == 0 && atomic_load_explicit(running_job_pointer, memory_order_relaxed) != 0;
    atomic_store_explicit(running_job_pointer, owner, memory_order_relaxed);
    if (changes)
        atomic_store_explicit(running_job_turns, atomic_load_explicit(running_job_turns, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

/* While code of somebody's runs a loop of its own, all that this loop runs is that code's doing. */
struct running_job_kept {
    atomic_uintptr_t *place, *turns;
};

static inline struct running_job_kept running_job_keep(void)
{
    struct running_job_kept kept = {running_job_pointer, running_job_turns};

    running_job_install(NULL);
    running_job_count(NULL);
    return kept;
}

static inline void running_job_go_on(const struct running_job_kept *kept)
{
    running_job_install(kept->place);
    running_job_count(kept->turns);
}

/* While weft itself keeps the code that is running from going on, such as by waiting until a log line is taken, that is
 * nobody's doing, and no turn either. Gives what running_job_return() has to be told when it is over. */
static inline uintptr_t running_job_leave(void)
{
    uintptr_t info = atomic_load_explicit(running_job_pointer, memory_order_relaxed);

    atomic_store_explicit(running_job_pointer, 0, memory_order_relaxed);
    return info;
}

static inline void running_job_return(uintptr_t info)
{
    atomic_store_explicit(running_job_pointer, info, memory_order_relaxed);
}

/* What this thread told last. May be called by a signal handler. */
uintptr_t running_job_get(void);
