/*
 * For tests about leases: a worker that holds two jobs and has no room for a third, with the shortest lease there is,
 * and a maintenance that would take them away.
 */
#pragma once

#include "tests/unit/consumer_support.h"

enum { LEASES_MS = 2000 };

/* Two jobs, and no room for a third: the client reads nothing any more. */
static inline struct queues *leases_begin(void **state, const char *consumer)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.lease_ms = LEASES_MS;
    queues->consumer = consumer;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j1");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j2");
    queues_start_client(queues, 2);
    queues_wait_for_jobs(queues, 2);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    return queues;
}

/* Long enough for a worker that gives no sign of life to be taken for dead, by two looks after its lease. */
static inline void leases_run_past(struct queues *queues)
{
    queues_run(queues, 5 * LEASES_MS / 2);
}

static inline void leases_expect_kept(struct queues *queues)
{
    assert_int_equal(queues->reclaims, 0);
    assert_int_equal(queues->lost_count, 0);
    assert_int_equal(queues->job_count, 2);
    assert_int_equal(consumers_held(queues, queues->consumer), 2);
}
