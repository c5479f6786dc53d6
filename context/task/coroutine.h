/*
 * Coroutines: stack switching and nothing else. A coroutine is resumed from the thread's own stack and suspends back to
 * it; when its function has returned it is idle and can be given another, so that starting one costs no system call.
 *
 * Switching is done by hand (switch.h), and by swapcontext under sanitizers, with shadow stacks and on processors that
 * nobody has written it for. Each side keeps what a thread has besides its stack (thread_state.h); the signal mask is
 * the thread's.
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

/* What the pool's records take up of the heap, in bytes, without their stacks. */
size_t coroutine_pool_bytes(const struct coroutine_pool *pool);

/* Whether the address is in the guard of the coroutine's stack. May be called by a signal handler. */
bool coroutine_guards(const struct coroutine *coroutine, const void *address);

/* What is left of a pool's idle coroutines. */
enum coroutine_rest {
    COROUTINE_REST_NONE,  /* nothing more is to be given back */
    COROUTINE_REST_YOUNG, /* some may be by the end of the next period */
    COROUTINE_REST_OLD,   /* some are: the next call goes on */
};

/* Idle coroutines beyond so many do not stay. */
enum { COROUTINES_KEPT = 64 };

/* Another period is over, by which the age of idle coroutines is measured: a second or so. */
void coroutine_pool_age(struct coroutine_pool *pool);

/* Returns memory of coroutines that have been idle for a whole period to the kernel: that of COROUTINES_KEPT but for
 * the pages which each of them uses, that of the others with all that they are made of. Does so much at a time that a
 * loop hardly stands still. A load that goes on uses the same ones again and again, and costs no system calls. */
enum coroutine_rest coroutine_pool_trim(struct coroutine_pool *pool);
