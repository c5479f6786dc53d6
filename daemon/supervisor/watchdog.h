/*
 * The watch over running workers: one that stands still, that cannot get rid of a job whose time is over, or that has
 * grown too large is ended before it costs others more than that; the job that is to blame is told apart from the
 * neighbours.
 */
#pragma once

#include "daemon/supervisor/worker_pool.h"

struct watchdog {
    int64_t looked_us;  /* the last look */
    int64_t resumed_us; /* when the supervisor itself had been standing still */
};

/* Looks at all workers that run; a few times a second. All zero at first. */
void watchdog_check(struct watchdog *watchdog, const struct worker_pool *pool);

/* Whether the loop of each worker turns, or has stood still for no longer than it takes to end and replace it. */
bool watchdog_is_in_control(const struct watchdog *watchdog, const struct worker_pool *pool);
