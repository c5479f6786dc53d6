/* Whatever Redis does costs nobody that lives its lease. */
#include "tests/unit/lease_support.h"

static void redis_that_stood_still_costs_nobody_a_lease(void **state)
{
    struct queues *queues = leases_begin(state, consumers_name_elsewhere());

    assert_int_equal(kill(queues->server.pid, SIGSTOP), 0);
    queues_run(queues, 2 * LEASES_MS);
    assert_int_equal(kill(queues->server.pid, SIGCONT), 0);
    leases_run_past(queues);
    leases_expect_kept(queues);
    queues_tear_down(queues);
}

static void redis_that_was_away_costs_nobody_a_lease(void **state)
{
    struct queues *queues = calloc(1, sizeof(*queues));
    void *own_state = queues;

    (void)state;
    queues->server.durable = true;
    redis_server_start(&queues->server);
    queues = leases_begin(&own_state, consumers_name_elsewhere());
    redis_server_kill(&queues->server);
    queues_run(queues, 2 * LEASES_MS);
    redis_server_up(&queues->server);
    leases_run_past(queues);
    assert_string_equal(queues->problems[queues->problem_count - 1], "");
    leases_expect_kept(queues);
    queues_tear_down(queues);
    redis_server_stop(&queues->server);
    free(queues);
}

static void worker_survives_a_redis_that_was_emptied(void **state)
{
    struct queues *queues = leases_begin(state, consumers_name_elsewhere());

    redis_server_ask(&queues->server, "FLUSHALL");
    queues_run(queues, LEASES_MS);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j3");
    queues_wait_for_jobs(queues, 3);
    assert_string_equal(queues->jobs[2]->id, "j3");
    leases_run_past(queues);
    assert_int_equal(queues->reclaims, 0);
    assert_int_equal(consumers_held(queues, queues->consumer), 1);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_that_stood_still_costs_nobody_a_lease),
        cmocka_unit_test(redis_that_was_away_costs_nobody_a_lease),
        cmocka_unit_test(worker_survives_a_redis_that_was_emptied),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
