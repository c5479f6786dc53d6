/*
 * The fork guard: a process that a handler forks is a copy of the worker, with its tasks, its connections and its loop,
 * none of which it may use: they are still the worker's. It is meant to call exec or _exit(). One that comes back from
 * the code that forked it instead is ended before it can do harm.
 */
#pragma once

#include <stdbool.h>

#include "context/current.h"

/* From now on processes that are forked from this one are guarded. `in_child` (may be NULL) is called in each, by
 * fork() itself. */
void fork_guard_install(void (*in_child)(void));

/* Whether this process is such a copy, and the operation that forked it. */
extern bool fork_guard_is_copy;
extern const struct operation *fork_guard_operation;

/* Ends this process, with a line in the log, in the current context. */
void fork_guard_end(void) __attribute__((noreturn));

/* For where users' code has given control back, before anything is made of that. */
static inline void fork_guard_check(void)
{
    if (__builtin_expect(fork_guard_is_copy, 0) && current_state.operation == fork_guard_operation)
        fork_guard_end();
}
