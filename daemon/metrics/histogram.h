/*
 * Histograms of durations, all with the same buckets, from a tenth of a millisecond to half an hour. One process adds,
 * any other may read.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 20

struct histogram {
    atomic_uint_fast64_t counts[HISTOGRAM_BOUNDS + 1]; /* each up to its bound, inclusive; the last without one */
    atomic_uint_fast64_t sum_us;
};

/* An upper bound, and how Prometheus spells it, in seconds. */
struct histogram_bound {
    int64_t us;
    const char *seconds;
};

extern const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS];

/* Adds to a number that only this process writes. */
static inline void counter_add(atomic_uint_fast64_t *counter, uint64_t number)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + number, memory_order_relaxed);
}

static inline uint64_t counter_get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Adds a duration; less than none counts as none. */
void histogram_add(struct histogram *histogram, int64_t us);

/* Adds all that is in another one. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);
