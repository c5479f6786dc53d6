/*
 * What a thread carries that is not its stack, and that each fiber is to have for itself: errno, the exceptions that
 * the C++ runtime knows of, the rounding mode and the rest of the floating-point control, and the locale of
 * uselocale().
 *
 * Processes without C++ and without uselocale() do not pay for these: runtimes are looked for when a library has been
 * loaded, and the locale is looked at once uselocale() has been called.
 */
#pragma once

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>

/* C++ runtimes in one process: one that is shared, and one in each plugin that is linked with its own. */
enum { CXX_RUNTIMES_MAX = 4 };

/* As the C++ ABI has it: what __cxa_get_globals() points to. */
struct cxx_exceptions {
    void *caught;
    unsigned uncaught;
};

/* What belongs to a stack while it is not running. Zeroed: exceptions of none, and the rest to be set. */
struct thread_state {
    struct cxx_exceptions exceptions[CXX_RUNTIMES_MAX];
    locale_t locale; /* NULL: that of whoever switches to it */
    int error;       /* errno */
#if defined(__x86_64__)
    uint32_t sse_control;
    uint16_t x87_control;
#elif defined(__aarch64__)
    uint64_t control;
#endif
};

/* Where the running thread has it. A fiber never changes its thread, so this is looked up once. */
struct thread_place {
    int *error;
    unsigned loads; /* as thread_state_loads was when the runtimes were looked for */
    unsigned runtimes;
    struct cxx_exceptions *exceptions[CXX_RUNTIMES_MAX];
};

/* Counts the calls of dlopen(). */
extern unsigned thread_state_loads;

/* Whether anybody has called uselocale(). */
extern bool thread_state_has_locales;

/* Of the calling thread. */
void thread_place_init(struct thread_place *place);

/* Looks for C++ runtimes that have been loaded since. To be called from time to time besides: libc may load something
 * without dlopen(), and another thread may have been in the middle of it when this one looked. */
void thread_place_refresh(struct thread_place *place);

/* A state for a function to begin in: without error and exceptions, with the floating-point control of the running
 * code, as a new thread has it, and the locale of whoever switches to it. */
void thread_state_begin(struct thread_state *state);

/* For thread_state_swap(). */
void thread_state_swap_locale(struct thread_state *from, const struct thread_state *to);

/* Has the processor calculate as the state says. Setting that takes long, and it is mostly the same. */
__attribute__((always_inline)) static inline void thread_state_set_control(const struct thread_state *now,
                                                                           const struct thread_state *wanted)
{
#if defined(__x86_64__)
    if (__builtin_expect(now->sse_control != wanted->sse_control, 0))
        __asm__ volatile("ldmxcsr %0" : : "m"(wanted->sse_control));
    if (__builtin_expect(now->x87_control != wanted->x87_control, 0))
        __asm__ volatile("fldcw %0" : : "m"(wanted->x87_control));
#elif defined(__aarch64__)
    if (__builtin_expect(now->control != wanted->control, 0))
        __asm__ volatile("msr fpcr, %0" : : "r"(wanted->control));
#else
    (void)now;
    (void)wanted;
#endif
}

/* Notes how it calculates. */
__attribute__((always_inline)) static inline void thread_state_get_control(struct thread_state *now)
{
#if defined(__x86_64__)
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(now->sse_control), "=m"(now->x87_control));
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(now->control));
#else
    (void)now;
#endif
}

/* Moves what is the thread's to `from`, whose stack is left, and what `to` has to the thread. */
__attribute__((always_inline)) static inline void thread_state_swap(struct thread_place *place,
                                                                    struct thread_state *from,
                                                                    const struct thread_state *to)
{
    if (__builtin_expect(place->loads != __atomic_load_n(&thread_state_loads, __ATOMIC_RELAXED), 0))
        thread_place_refresh(place);
    for (unsigned i = 0; i < place->runtimes; i++) {
        from->exceptions[i] = *place->exceptions[i];
        *place->exceptions[i] = to->exceptions[i];
    }
    if (__builtin_expect(__atomic_load_n(&thread_state_has_locales, __ATOMIC_RELAXED), 0))
        thread_state_swap_locale(from, to);
    from->error = *place->error;
    *place->error = to->error;
    thread_state_get_control(from);
    thread_state_set_control(from, to);
}
