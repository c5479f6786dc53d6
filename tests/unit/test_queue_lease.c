/* A worker that lives keeps what it holds, whatever it waits for. */
#include "tests/unit/lease_support.h"

static void lease_of_a_worker_that_only_waits_is_renewed(void **state)
{
    struct queues *queues = leases_begin(state, consumers_name_elsewhere());

    leases_run_past(queues);
    leases_expect_kept(queues);
    queues_tear_down(queues);
}

static void lease_of_a_worker_that_is_gone_is_not_renewed(void **state)
{
    struct queues *queues = leases_begin(state, consumers_name_elsewhere());

    queues->client = queue_client_free(queues->client);
    WAIT_UNTIL(queues, queues->reclaims == 1);
    assert_int_equal(queues->reason, RECLAIM_EXPIRED);
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 2);
    queues_tear_down(queues);
}

static void worker_that_drains_without_its_supervisor_keeps_its_jobs(void **state)
{
    pid_t supervisor = consumers_start_process();
    const char *consumer = consumers_name(1, supervisor, getpid());
    struct queues *queues;

    consumers_end_process(supervisor);
    queues = leases_begin(state, consumer);
    queue_client_stop(queues->client);
    leases_run_past(queues);
    leases_expect_kept(queues);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(redis_server_count(&queues->server, "LLEN weft:{q}:done"), 2);
    assert_int_equal(queues->reclaims, 0);
    queues_tear_down(queues);
}

static void stopped_worker_leaves_no_consumer(void **state)
{
    struct queues *queues = leases_begin(state, consumers_name_elsewhere());

    queue_client_stop(queues->client);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    queues->maintenance = maintenance_free(queues->maintenance);
    queues_run(queues, LEASES_MS);
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_of_a_worker_that_only_waits_is_renewed),
        cmocka_unit_test(lease_of_a_worker_that_is_gone_is_not_renewed),
        cmocka_unit_test(worker_that_drains_without_its_supervisor_keeps_its_jobs),
        cmocka_unit_test(stopped_worker_leaves_no_consumer),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
