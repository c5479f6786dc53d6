/*
 * What a CPU-bound job does, for the handlers of the benchmark and for the plain processes that they are compared with.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Microseconds by a clock. */
static inline int64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Uses so many milliseconds of the calling thread's CPU time. */
static inline void be_busy(int64_t milliseconds)
{
    int64_t until = clock_us(CLOCK_THREAD_CPUTIME_ID) + milliseconds * 1000;
    volatile unsigned turns = 0;

    while (clock_us(CLOCK_THREAD_CPUTIME_ID) < until)
        for (int i = 0; i < 1000; i++)
            turns++;
}
