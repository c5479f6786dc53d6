/* The supervisor settles what a dead worker cannot settle any more, before that worker's other jobs go back. */
#include "tests/unit/consumer_support.h"

static const char *const three_jobs[] = {"j1", "culprit", "j3", NULL};

static const struct job culprit = {
    .id = "culprit",
    .type = "t",
    .queue = "q",
    .entry = "5-2",
    .root = "culprit",
    .payload = "",
    .attempt = 2,
    .enqueued_ms = INT64_C(1763922000123),
};

static struct queues *begin(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    consumers_give(queues, "dead", three_jobs);
    queues_start_maintenance(queues);
    return queues;
}

static void blame(struct queues *queues, enum job_outcome outcome)
{
    struct settlement settlement = queues_ran(&culprit, outcome);

    settlement.error = "the worker was killed by SIGSEGV";
    settlement.due_ms = INT64_C(4000000000000);
    assert_int_equal(maintenance_settle(queues->maintenance, &settlement), 0);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "dead"), 0);
    assert_false(maintenance_is_idle(queues->maintenance));
}

static void expect_neighbours_back(struct queues *queues)
{
    const char *entries;

    WAIT_UNTIL(queues, queues->reclaims == 1);
    assert_string_equal(queues->reclaimed, "q dead 2");
    assert_int_equal(queues->reason, RECLAIM_ASKED);
    entries = redis_server_ask(&queues->server, "XRANGE weft:{q} - +");
    assert_non_null(strstr(entries, "[type t id j1 "));
    assert_non_null(strstr(entries, "[type t id j3 "));
    assert_false(consumers_has(queues, "dead"));
}

static void culprit_is_settled_before_the_neighbours_go_back(void **state)
{
    struct queues *queues = begin(state);

    blame(queues, JOB_DEAD);
    expect_neighbours_back(queues);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 2);
    assert_non_null(strstr(redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +"),
                           "[type t id culprit weft.id culprit weft.error the worker was killed by SIGSEGV "
                           "weft.attempts 2 weft.node node1 "));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:culprit state attempt error"),
                        "[dead 2 the worker was killed by SIGSEGV]");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    queues_tear_down(queues);
}

static void culprit_that_may_try_again_is_charged(void **state)
{
    struct queues *queues = begin(state);

    WAIT_UNTIL(queues, queues->ready == 1);
    blame(queues, JOB_RETRY);
    expect_neighbours_back(queues);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1 WITHSCORES"),
                        "[culprit 4000000000000]");
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:culprit state attempt"), "[retrying 2]");
    queues_tear_down(queues);
}

static void culprit_that_somebody_else_has_settled_stays_as_it_is(void **state)
{
    struct queues *queues = begin(state);

    redis_server_ask(&queues->server, "XACK weft:{q} weft 5-2");
    redis_server_ask(&queues->server, "XDEL weft:{q} 5-2");
    blame(queues, JOB_DEAD);
    expect_neighbours_back(queues);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_int_equal(redis_server_count(&queues->server, "EXISTS weft:{q}:dead weft:{q}:job:culprit"), 0);
    queues_tear_down(queues);
}

static void blame_waits_until_redis_is_back(void **state)
{
    struct queues *queues = calloc(1, sizeof(*queues));

    (void)state;
    queues->server.durable = true;
    redis_server_start(&queues->server);
    queues_set_up(queues, 1);
    consumers_give(queues, "dead", three_jobs);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    redis_server_kill(&queues->server);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    blame(queues, JOB_DEAD);
    redis_server_up(&queues->server);
    expect_neighbours_back(queues);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}:dead"), 1);
    queues_tear_down(queues);
    redis_server_stop(&queues->server);
    free(queues);
}

static void culprit_whose_outcome_redis_refuses_holds_nobody_up(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.lease_ms = 2000;
    consumers_give(queues, "dead", three_jobs);
    redis_server_ask(&queues->server, "SET weft:{q}:job:culprit x");
    queues_start_maintenance(queues);
    blame(queues, JOB_DEAD);
    expect_neighbours_back(queues);
    assert_false(maintenance_is_idle(queues->maintenance));
    redis_server_ask(&queues->server, "DEL weft:{q}:job:culprit");
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:culprit state"), "dead");
    WAIT_UNTIL(queues, queues_says(queues, "XINFO CONSUMERS weft:{q} weft", "[]"));
    assert_int_equal(queues->reclaims, 1);
    queues_tear_down(queues);
}

static void job_of_a_queue_that_is_not_ours_cannot_be_settled(void **state)
{
    struct queues *queues = begin(state);
    struct job stranger = culprit;
    struct settlement settlement = queues_ran(&stranger, JOB_DEAD);

    stranger.queue = "nosuch";
    assert_int_equal(maintenance_settle(queues->maintenance, &settlement), -EINVAL);
    assert_true(maintenance_is_idle(queues->maintenance));
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(culprit_is_settled_before_the_neighbours_go_back),
        cmocka_unit_test(culprit_that_may_try_again_is_charged),
        cmocka_unit_test(culprit_that_somebody_else_has_settled_stays_as_it_is),
        cmocka_unit_test(blame_waits_until_redis_is_back),
        cmocka_unit_test(culprit_whose_outcome_redis_refuses_holds_nobody_up),
        cmocka_unit_test(job_of_a_queue_that_is_not_ours_cannot_be_settled),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
