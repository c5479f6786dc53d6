/*
 * Coroutines: stack switching and nothing else. A coroutine is resumed from the thread's own stack and suspends back to
 * it; when its function has returned it is idle and can be given another, so that starting one costs no system call.
 *
 * Switching is done by sigsetjmp and siglongjmp, which leave the signal mask alone (swapcontext makes two system calls
 * for it); swapcontext enters a new stack for the first time, and does all of the switching under sanitizers and shadow
 * stacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <weft/api.h>

struct coroutine;
struct coroutine_pool;

/* Errors: -ENOMEM. */
int coroutine_pool_new(size_t stack_size, struct coroutine_pool **ret_pool) WEFT_MUST_CHECK;

/* Every coroutine must have ended. Takes NULL, gives NULL. */
struct coroutine_pool *coroutine_pool_free(struct coroutine_pool *pool);

/* An idle coroutine, which will run fn(arg) when it is resumed. Errors: -EAGAIN, -ENOMEM. */
int coroutine_get(struct coroutine_pool *pool, void (*fn)(void *arg), void *arg,
                  struct coroutine **ret_coroutine) WEFT_MUST_CHECK;

/* Runs it until it suspends or its function returns. Not from inside a coroutine. */
void coroutine_resume(struct coroutine *coroutine);

/* From inside: goes back to whoever resumed it. Returns when it is resumed again. */
void coroutine_suspend(struct coroutine *coroutine);

/* Gives a coroutine whose function has returned back to its pool. */
void coroutine_put(struct coroutine_pool *pool, struct coroutine *coroutine);

/* Whether the address is in the guard of the coroutine's stack. May be called by a signal handler. */
bool coroutine_guards(const struct coroutine *coroutine, const void *address);

/* Returns the memory of idle stacks to the kernel, but for the pages that every one of them uses. */
void coroutine_pool_trim(struct coroutine_pool *pool);
