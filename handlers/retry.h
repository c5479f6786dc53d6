/*
 * When the next attempt begins.
 */
#pragma once

#include <stdint.h>

struct retry_backoff {
    int64_t base_ms;
    int64_t max_ms;
    double jitter; /* 0 to 1: the share by which a delay varies either way */
};

/* The delay after the failed attempt number `attempt` (from 1): the base, doubled each time, at most the maximum,
 * varied by `random`, a number from 0 to below 1. */
int64_t retry_delay_ms(const struct retry_backoff *backoff, unsigned attempt, double random);
