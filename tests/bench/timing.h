/*
 * Timing for benchmarks of single operations. A machine that does other things as well makes a figure larger and never
 * smaller, so of many short samples the least is kept, and all operations take turns so that none meets a bad time
 * alone.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <time.h>

enum { TIMING_SAMPLES = 12 };

/* One operation. `measure` runs it `count` times, by TIMED(), in whatever surroundings it needs. */
struct timing {
    const char *name;
    void (*measure)(struct timing *timing);
    size_t count;
    size_t values; /* of the context that it is to be run in, or whatever else it depends on */
    double best;   /* ns; 0: not measured */
};

static inline double timing_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Notes a sample in which `count` operations were done since `began`. */
static inline void timing_note(struct timing *timing, double began, size_t count)
{
    double sample = (timing_now_ns() - began) / (double)count;

    if (timing->best <= 0 || sample < timing->best)
        timing->best = sample;
}

/* The barrier keeps the compiler from doing less than it is asked to. */
#define TIMED(timing_, ...)                                                                                            \
    do {                                                                                                               \
        double began_ = timing_now_ns();                                                                               \
        for (size_t times_ = 0; times_ < (timing_)->count; times_++) {                                                 \
            __VA_ARGS__;                                                                                               \
            __asm__ volatile("" ::: "memory");                                                                         \
        }                                                                                                              \
        timing_note((timing_), began_, (timing_)->count);                                                              \
    } while (0)

/* Measures them all, in turns, and prints a line for each: its name, a tab, nanoseconds. */
static inline void timing_run(struct timing *timings, size_t count)
{
    for (int sample = 0; sample < TIMING_SAMPLES; sample++)
        for (size_t i = 0; i < count; i++)
            timings[i].measure(&timings[i]);
    for (size_t i = 0; i < count; i++)
        (void)printf("%s\t%.2f\n", timings[i].name, timings[i].best);
}
