/*
 * Timers: a heap of deadlines. Those with the same deadline fire in the order in which they were started, which
 * libevent's own heap does not promise and the order of log lines rests on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/api.h>

/* In the owner's memory; zero-initialised it is stopped. */
struct timer {
    int64_t deadline_us; /* CLOCK_MONOTONIC */
    uint64_t serial;
    size_t place; /* in the heap, from 1; 0: stopped */
    void (*fire)(struct timer *timer);
};

struct timer_heap {
    struct timer **timers;
    size_t count;
    size_t capacity;
    uint64_t serial;
};

void timer_heap_done(struct timer_heap *heap);

/* Starts a stopped timer. Errors: -ENOMEM. */
int timer_start(struct timer_heap *heap, struct timer *timer, int64_t deadline_us) WEFT_MUST_CHECK;

/* Stops it; harmless when it is stopped. */
void timer_stop(struct timer_heap *heap, struct timer *timer);

/* The next to fire, or NULL. */
struct timer *timer_first(const struct timer_heap *heap);

/* Waits are bounded so that deadlines cannot overflow; a century will do. */
#define TIMER_MAX_MS (UINT64_C(100) * 366 * 24 * 3600 * 1000)

/* The deadline in so many milliseconds. */
int64_t timer_deadline_in(uint64_t milliseconds);
