/*
 * Child processes that were started in a context: operations that last until the child has ended, so that it can be
 * seen what a job has left running. From any thread.
 */
#pragma once

#include <sys/types.h>

/* A child has been started by the current context, by the call that returns to `place`. Out of memory, nobody follows
 * it. */
void child_begin(pid_t pid, const void *place);

/* It is gone: somebody has waited for it. */
void child_reaped(pid_t pid);

/* Ends those that nobody has waited for, but that have ended all the same; to be called from time to time. */
void child_tend(void);

/* Lets go of all of them: what still runs goes on without being seen. */
void child_forget_all(void);
