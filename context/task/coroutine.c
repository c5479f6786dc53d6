#include "context/task/coroutine.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <ucontext.h>

#include "context/machinery.h"
#include "context/task/stack.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define COROUTINE_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define COROUTINE_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define COROUTINE_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define COROUTINE_TSAN 0
#endif
#if COROUTINE_ASAN || COROUTINE_TSAN || (defined(__CET__) && (__CET__ & 2))
#define COROUTINE_SWAPCONTEXT 1
#else
#define COROUTINE_SWAPCONTEXT 0
#endif

/* The top of an idle stack that is in use anyway, by the function that waits there for work, and is kept when the rest
 * is returned. */
enum { STACK_KEPT = 16 * 1024 };

/* Coroutines that are given back, or trimmed, in one go: some 0.5 ms. */
enum { TRIM_STEP = 128 };

/* One side of a switch. */
struct side {
#if COROUTINE_SWAPCONTEXT
    ucontext_t context;
#else
    sigjmp_buf jump;
#endif
#if COROUTINE_ASAN
    void *fake_stack;
    const void *bottom;
    size_t size;
#endif
#if COROUTINE_TSAN
    void *fiber;
#endif
};

struct coroutine {
    struct side inside;
    struct side outside;
    struct stack *stack;
    void (*fn)(void *arg);
    void *arg;
    bool entered; /* its stack has been begun */
    bool trimmed; /* since it was last used */
    unsigned idle_since;
    TAILQ_ENTRY(coroutine) among_idle;
};

struct coroutine_pool {
    struct stack_pool *stacks;
    TAILQ_HEAD(idle_coroutines, coroutine) idle; /* the newest first, and used first, so that the old stay old */
    size_t idle_count;
    size_t count; /* all, those in use among them */
    unsigned period;
};

/* ---- Switching ---- */

/* glibc's fortified longjmp takes a jump to another stack for an error; this is the same function without that check.
 */
#if !COROUTINE_SWAPCONTEXT
extern void coroutine_jump(sigjmp_buf target, int value) __asm__("siglongjmp") __attribute__((noreturn));
#endif

/* Inlined, or the thread sanitizer would see a function begin on one stack and end on the other. */
__attribute__((always_inline)) static inline void before_switch(struct side *from, struct side *to)
{
#if COROUTINE_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
#if COROUTINE_TSAN
    from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from;
    (void)to;
}

/* `other` is the side that was just left; the sanitizer tells where its stack is. */
static void after_switch(struct side *here, struct side *other)
{
#if COROUTINE_ASAN
    __sanitizer_finish_switch_fiber(here->fake_stack, &other->bottom, &other->size);
#endif
    (void)here;
    (void)other;
}

/* Not inlined: thread-local addresses and registers must not be carried over by the compiler as if nothing had
 * happened. */
__attribute__((noinline)) static void switch_sides(struct side *from, struct side *to)
{
    before_switch(from, to);
#if COROUTINE_SWAPCONTEXT
    (void)swapcontext(&from->context, &to->context);
#else
    if (sigsetjmp(from->jump, 0) == 0)
        coroutine_jump(to->jump, 1);
#endif
    after_switch(from, to);
}

/* ---- The inside ---- */

#if COROUTINE_ASAN
/* The last switch from a stack, which has the sanitizer free what it keeps beside it. */
static void leave_for_good(struct coroutine *coroutine)
{
    __sanitizer_start_switch_fiber(NULL, coroutine->outside.bottom, coroutine->outside.size);
    (void)setcontext(&coroutine->outside.context);
}
#else
static void leave_for_good(struct coroutine *coroutine)
{
    (void)coroutine;
}
#endif

/* What runs on a coroutine's stack: one function after another, until it is resumed without one. */
MACHINERY_BOTTOM static void run_functions(struct coroutine *coroutine)
{
    after_switch(&coroutine->inside, &coroutine->outside);
    while (coroutine->fn) {
        coroutine->fn(coroutine->arg);
        coroutine->fn = NULL;
        switch_sides(&coroutine->inside, &coroutine->outside);
    }
    leave_for_good(coroutine);
}

/* makecontext passes integers only. */
MACHINERY_BOTTOM static void enter(unsigned high, unsigned low)
{
    run_functions((struct coroutine *)((uintptr_t)high << 32 | low));
}

/* The first switch to a stack, for which no jump exists yet. */
__attribute__((noinline)) static void enter_stack(struct coroutine *coroutine)
{
    ucontext_t *inside, *outside;
#if COROUTINE_SWAPCONTEXT
    inside = &coroutine->inside.context;
    outside = &coroutine->outside.context;
#else
    ucontext_t inside_begin, outside_unused;
    inside = &inside_begin;
    outside = &outside_unused;
#endif
    uintptr_t address = (uintptr_t)coroutine;

    (void)getcontext(inside);
    inside->uc_stack.ss_sp = coroutine->stack->bottom;
    inside->uc_stack.ss_size = coroutine->stack->size;
    inside->uc_link = NULL;
    makecontext(inside, (void (*)(void))enter, 2, (unsigned)(address >> 32), (unsigned)address);
    before_switch(&coroutine->outside, &coroutine->inside);
#if COROUTINE_SWAPCONTEXT
    (void)swapcontext(outside, inside);
#else
    if (sigsetjmp(coroutine->outside.jump, 0) == 0)
        (void)swapcontext(outside, inside);
#endif
    after_switch(&coroutine->outside, &coroutine->inside);
}

void coroutine_resume(struct coroutine *coroutine)
{
    if (coroutine->entered) {
        switch_sides(&coroutine->outside, &coroutine->inside);
        return;
    }
    coroutine->entered = true;
    enter_stack(coroutine);
}

void coroutine_suspend(struct coroutine *coroutine)
{
    switch_sides(&coroutine->inside, &coroutine->outside);
}

/* ---- The pool ---- */

int coroutine_pool_new(size_t stack_size, struct coroutine_pool **ret_pool)
{
    struct coroutine_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    TAILQ_INIT(&pool->idle);
    int r = stack_pool_new(stack_size, &pool->stacks);
    if (r < 0) {
        free(pool);
        return r;
    }
    *ret_pool = pool;
    return 0;
}

static void coroutine_free(struct coroutine_pool *pool, struct coroutine *coroutine)
{
#if COROUTINE_TSAN
    __tsan_destroy_fiber(coroutine->inside.fiber);
#endif
#if COROUTINE_ASAN
    if (coroutine->entered)
        coroutine_resume(coroutine);
    /* Its stack was left in the middle of a function, whose shadow memory would stay poisoned. */
    __asan_unpoison_memory_region(coroutine->stack->bottom, coroutine->stack->size);
#endif
    stack_pool_put(pool->stacks, coroutine->stack);
    pool->count--;
    free(coroutine);
}

static void remove_idle(struct coroutine_pool *pool, struct coroutine *coroutine)
{
    TAILQ_REMOVE(&pool->idle, coroutine, among_idle);
    pool->idle_count--;
}

struct coroutine_pool *coroutine_pool_free(struct coroutine_pool *pool)
{
    while (pool && !TAILQ_EMPTY(&pool->idle)) {
        struct coroutine *coroutine = TAILQ_FIRST(&pool->idle);

        remove_idle(pool, coroutine);
        coroutine_free(pool, coroutine);
    }
    if (pool)
        pool->stacks = stack_pool_free(pool->stacks);
    free(pool);
    return NULL;
}

static int coroutine_new(struct coroutine_pool *pool, struct coroutine **ret_coroutine)
{
    struct coroutine *coroutine = calloc(1, sizeof(*coroutine));

    if (!coroutine)
        return -ENOMEM;
    int r = stack_pool_get(pool->stacks, &coroutine->stack);
    if (r < 0) {
        free(coroutine);
        return r;
    }
#if COROUTINE_ASAN
    coroutine->inside.bottom = coroutine->stack->bottom;
    coroutine->inside.size = coroutine->stack->size;
#endif
#if COROUTINE_TSAN
    coroutine->inside.fiber = __tsan_create_fiber(0);
#endif
    pool->count++;
    *ret_coroutine = coroutine;
    return 0;
}

int coroutine_get(struct coroutine_pool *pool, void (*fn)(void *arg), void *arg, struct coroutine **ret_coroutine)
{
    struct coroutine *coroutine = TAILQ_FIRST(&pool->idle);

    if (coroutine) {
        remove_idle(pool, coroutine);
    } else {
        int r = coroutine_new(pool, &coroutine);
        if (r < 0)
            return r;
    }
    coroutine->fn = fn;
    coroutine->arg = arg;
    coroutine->trimmed = false;
    *ret_coroutine = coroutine;
    return 0;
}

void coroutine_put(struct coroutine_pool *pool, struct coroutine *coroutine)
{
    assert(!coroutine->fn);
    coroutine->idle_since = pool->period;
    TAILQ_INSERT_HEAD(&pool->idle, coroutine, among_idle);
    pool->idle_count++;
}

size_t coroutine_pool_bytes(const struct coroutine_pool *pool)
{
    return pool->count * sizeof(struct coroutine);
}

bool coroutine_guards(const struct coroutine *coroutine, const void *address)
{
    return stack_guards(coroutine->stack, address);
}

/* ---- Giving back ---- */

void coroutine_pool_age(struct coroutine_pool *pool)
{
    pool->period++;
}

/* The period in which it became idle was not a whole one. */
static bool is_old(const struct coroutine_pool *pool, const struct coroutine *coroutine)
{
    return pool->period - coroutine->idle_since >= 2;
}

enum coroutine_rest coroutine_pool_trim(struct coroutine_pool *pool)
{
    size_t left = TRIM_STEP, freed = 0;
    struct coroutine *coroutine;

    for (; left > 0 && pool->idle_count > COROUTINES_KEPT; left--, freed++) {
        coroutine = TAILQ_LAST(&pool->idle, idle_coroutines);
        if (!is_old(pool, coroutine))
            break;
        remove_idle(pool, coroutine);
        coroutine_free(pool, coroutine);
    }
    if (freed > 0)
        stack_pool_trim(pool->stacks);
    if (left == 0)
        return COROUTINE_REST_OLD;

    /* These are few: any others would have been freed. */
    TAILQ_FOREACH_REVERSE (coroutine, &pool->idle, idle_coroutines, among_idle) {
        if (!is_old(pool, coroutine))
            return COROUTINE_REST_YOUNG;
        if (coroutine->trimmed)
            continue;
        if (coroutine->stack->size > STACK_KEPT)
            (void)madvise(coroutine->stack->bottom, coroutine->stack->size - STACK_KEPT, MADV_DONTNEED);
        coroutine->trimmed = true;
    }
    return COROUTINE_REST_NONE;
}
