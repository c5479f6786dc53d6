#include "context/task/coroutine.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <ucontext.h>

#include "context/machinery.h"
#include "context/task/stack.h"
#include "context/task/switch.h"
#include "context/task/thread_state.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define COROUTINE_ASAN 1
#else
#define COROUTINE_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define COROUTINE_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define COROUTINE_TSAN 0
#endif
#define COROUTINE_BY_HAND (SWITCH_BY_HAND && !COROUTINE_ASAN && !COROUTINE_TSAN)

/* Told also where weft is built without: a plugin may have been built with the address sanitizer, whose library is then
 * loaded before all others. */
void __sanitizer_start_switch_fiber(void **ret_fake_stack, const void *bottom, size_t size) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **ret_bottom, size_t *ret_size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *address, size_t size) __attribute__((weak));

/* The top of an idle stack that is in use anyway, by the function that waits there for work, and is kept when the rest
 * is returned. */
enum { STACK_KEPT = 16 * 1024 };

/* Coroutines that are given back, or trimmed, in one go: some 0.5 ms. */
enum { TRIM_STEP = 128 };

/* One side of a switch. */
struct side {
#if COROUTINE_BY_HAND
    struct switch_frame *left; /* where it was left; before it has begun: where it begins */
#else
    ucontext_t context;
#endif
    struct thread_state state;
    void *fake_stack; /* the address sanitizer's */
    const void *bottom;
    size_t size;
#if COROUTINE_TSAN
    void *fiber;
#endif
};

struct coroutine {
    struct side inside;
    struct side outside;
    struct coroutine_pool *pool;
    struct stack *stack;
    void (*fn)(void *arg);
    void *arg;
    bool entered; /* its stack has been begun, and can be left for good */
    bool trimmed; /* since it was last used */
    unsigned idle_since;
    TAILQ_ENTRY(coroutine) among_idle;
};

struct coroutine_pool {
    struct thread_place place;
    struct stack_pool *stacks;
    TAILQ_HEAD(idle_coroutines, coroutine) idle; /* the newest first, and used first, so that the old stay old */
    size_t idle_count;
    size_t count; /* all, those in use among them */
    unsigned period;
};

/* ---- Switching ---- */

/* Inlined, or the thread sanitizer would see a function begin on one stack and end on the other. `ret_fake_stack`: NULL
 * for a stack that is left for good. */
__attribute__((always_inline)) static inline void before_switch(struct side *from, struct side *to,
                                                                void **ret_fake_stack)
{
    if (__builtin_expect(__sanitizer_start_switch_fiber != NULL, COROUTINE_ASAN))
        __sanitizer_start_switch_fiber(ret_fake_stack, to->bottom, to->size);
#if COROUTINE_TSAN
    from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from;
}

/* `other` is the side that was just left; the sanitizer tells where its stack is. */
__attribute__((always_inline)) static inline void after_switch(struct side *here, struct side *other)
{
    if (__builtin_expect(__sanitizer_finish_switch_fiber != NULL, COROUTINE_ASAN))
        __sanitizer_finish_switch_fiber(here->fake_stack, &other->bottom, &other->size);
}

__attribute__((always_inline)) static inline void jump(struct side *from, struct side *to)
{
#if COROUTINE_BY_HAND
    switch_stack(&from->left, to->left);
#else
    (void)swapcontext(&from->context, &to->context);
#endif
}

/* swapcontext() has a floating-point control of its own: that of the moment when it left, in which it was the other
 * side's already. */
__attribute__((always_inline)) static inline void set_control(const struct side *here)
{
#if !COROUTINE_BY_HAND
    struct thread_state now;

    thread_state_get_control(&now);
    thread_state_set_control(&now, &here->state);
#else
    (void)here;
#endif
}

/* Not inlined: thread-local addresses and registers must not be carried over by the compiler as if nothing had
 * happened. */
__attribute__((noinline)) static void switch_sides(struct thread_place *place, struct side *from, struct side *to)
{
    thread_state_swap(place, &from->state, &to->state);
    before_switch(from, to, &from->fake_stack);
    jump(from, to);
    after_switch(from, to);
    set_control(from);
}

/* ---- The inside ---- */

/* What runs on a coroutine's stack: one function after another, until it is resumed without one. */
MACHINERY_BOTTOM static void run_functions(void *arg)
{
    struct coroutine *coroutine = arg;

    after_switch(&coroutine->inside, &coroutine->outside);
    set_control(&coroutine->inside);
    while (coroutine->fn) {
        coroutine->fn(coroutine->arg);
        coroutine->fn = NULL;
        switch_sides(&coroutine->pool->place, &coroutine->inside, &coroutine->outside);
    }
    /* The last switch from a stack, which has the sanitizer free what it keeps beside it. */
    thread_state_swap(&coroutine->pool->place, &coroutine->inside.state, &coroutine->outside.state);
    before_switch(&coroutine->inside, &coroutine->outside, NULL);
    jump(&coroutine->inside, &coroutine->outside);
}

#if COROUTINE_BY_HAND

static void prepare_stack(struct coroutine *coroutine)
{
    coroutine->inside.left =
        switch_prepare((char *)coroutine->stack->bottom + coroutine->stack->size, run_functions, coroutine);
}

#else

/* makecontext passes integers only. */
MACHINERY_BOTTOM static void enter(unsigned high, unsigned low)
{
    run_functions((void *)((uintptr_t)high << 32 | low));
}

static void prepare_stack(struct coroutine *coroutine)
{
    ucontext_t *inside = &coroutine->inside.context;
    uintptr_t address = (uintptr_t)coroutine;

    (void)getcontext(inside);
    inside->uc_stack.ss_sp = coroutine->stack->bottom;
    inside->uc_stack.ss_size = coroutine->stack->size;
    inside->uc_link = NULL;
    makecontext(inside, (void (*)(void))enter, 2, (unsigned)(address >> 32), (unsigned)address);
}

#endif

void coroutine_resume(struct coroutine *coroutine)
{
    if (__builtin_expect(!coroutine->entered, 0)) {
        coroutine->entered = true;
        prepare_stack(coroutine);
    }
    switch_sides(&coroutine->pool->place, &coroutine->outside, &coroutine->inside);
}

void coroutine_suspend(struct coroutine *coroutine)
{
    switch_sides(&coroutine->pool->place, &coroutine->inside, &coroutine->outside);
}

/* ---- The pool ---- */

int coroutine_pool_new(size_t stack_size, struct coroutine_pool **ret_pool)
{
    struct coroutine_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    TAILQ_INIT(&pool->idle);
    thread_place_init(&pool->place);
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
    if (coroutine->entered && __sanitizer_start_switch_fiber)
        coroutine_resume(coroutine);
    /* Its stack was left in the middle of a function, whose shadow memory would stay poisoned. */
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(coroutine->stack->bottom, coroutine->stack->size);
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
    coroutine->pool = pool;
    coroutine->inside.bottom = coroutine->stack->bottom;
    coroutine->inside.size = coroutine->stack->size;
    coroutine->outside.state.locale = LC_GLOBAL_LOCALE;
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
    thread_state_begin(&coroutine->inside.state);
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
    thread_place_refresh(&pool->place);
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
