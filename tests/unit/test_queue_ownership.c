/* Jobs that others took away from a worker, because it or its connection stood still, are told as lost. */
#include "tests/unit/consumer_support.h"

enum { LEASE_MS = 2000 };

static struct queues *begin(void **state, unsigned jobs)
{
    struct queues *queues = queues_begin(state, 2);

    queues->options.lease_ms = LEASE_MS;
    for (unsigned i = 0; i < jobs; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 5-%u type t id j%u", i + 1, i + 1);
    queues_start_client(queues, 4000);
    queues_wait_for_jobs(queues, jobs);
    return queues;
}

/* What reclaiming does to a job, by hand. */
static void take_away(struct queues *queues, const char *entry)
{
    redis_server_ask(&queues->server, "XACK weft:{q} weft %s", entry);
    redis_server_ask(&queues->server, "XDEL weft:{q} %s", entry);
}

/* The connections are lost, and made anew. */
static void disturb(struct queues *queues)
{
    assert_true(redis_server_count(&queues->server, "CLIENT KILL TYPE normal SKIPME yes") > 0);
}

/* What the client asks after each new connection has been answered. */
static void wait_for_look(struct queues *queues)
{
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "INFO commandstats"), "cmdstat_eval:") != NULL);
    queues_run(queues, 100);
}

static void job_that_another_worker_has_taken_is_told_as_lost(void **state)
{
    struct queues *queues = begin(state, 3);

    take_away(queues, "5-2");
    disturb(queues);
    WAIT_UNTIL(queues, queues->lost_count > 0);
    assert_string_equal(queues->lost, "q 5-2");
    disturb(queues);
    queues_run(queues, LEASE_MS);
    assert_int_equal(queues->lost_count, 1);
    queues_tear_down(queues);
}

static void worker_that_stood_still_is_told_what_it_has_lost(void **state)
{
    struct queues *queues = begin(state, 3);

    take_away(queues, "5-3");
    redis_server_sleep_ms(LEASE_MS);
    WAIT_UNTIL(queues, queues->lost_count > 0);
    assert_string_equal(queues->lost, "q 5-3");
    queues_run(queues, LEASE_MS);
    assert_int_equal(queues->lost_count, 1);
    queues_tear_down(queues);
}

static void job_that_another_worker_holds_is_lost_and_its_settlement_changes_nothing(void **state)
{
    struct queues *queues = begin(state, 2);

    redis_server_ask(&queues->server, "XCLAIM weft:{q} weft other 0 5-1");
    disturb(queues);
    WAIT_UNTIL(queues, queues->lost_count > 0);
    assert_string_equal(queues->lost, "q 5-1");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[1 5-1 5-1 [[other 1]]]");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[j2]");
    queues_tear_down(queues);
}

static void job_that_redis_does_not_know_to_be_given_is_lost(void **state)
{
    struct queues *queues = begin(state, 1);

    /* As after a crash that cost Redis its last second. */
    redis_server_ask(&queues->server, "XACK weft:{q} weft 5-1");
    disturb(queues);
    WAIT_UNTIL(queues, queues->lost_count > 0);
    assert_string_equal(queues->lost, "q 5-1");
    queues_tear_down(queues);
}

static void job_whose_outcome_is_known_is_not_told_as_lost(void **state)
{
    struct queues *queues = begin(state, 2);

    take_away(queues, "5-1");
    take_away(queues, "5-2");
    disturb(queues);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->lost_count > 0);
    assert_string_equal(queues->lost, "q 5-2");
    queues_run(queues, 100);
    assert_int_equal(queues->lost_count, 1);
    queues_tear_down(queues);
}

static void jobs_that_redis_has_forgotten_are_nobody_elses(void **state)
{
    struct queues *queues = begin(state, 3);

    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    redis_server_ask(&queues->server, "FLUSHALL");
    redis_server_ask(&queues->server, "XADD weft:{r} * type t");
    disturb(queues);
    wait_for_look(queues);
    assert_int_equal(queues->lost_count, 0);
    queues_tear_down(queues);
}

static void jobs_that_are_still_ours_are_not_told_as_lost(void **state)
{
    struct queues *queues = begin(state, 3);

    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    disturb(queues);
    wait_for_look(queues);
    redis_server_sleep_ms(LEASE_MS);
    queues_run(queues, LEASE_MS);
    assert_int_equal(queues->lost_count, 0);
    assert_int_equal(queues->job_count, 3);
    queues_tear_down(queues);
}

static void thousands_of_jobs_are_told_each_once(void **state)
{
    enum { JOBS = 1200 };
    struct queues *queues = begin(state, JOBS);

    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XADD weft:{r} 5-%d type t id k%d", i + 1, i + 1);
    queues_wait_for_jobs(queues, 2 * JOBS);
    redis_server_ask(&queues->server, "XGROUP DELCONSUMER weft:{q} weft worker1");
    redis_server_ask(&queues->server, "XGROUP DELCONSUMER weft:{r} weft worker1");
    disturb(queues);
    WAIT_UNTIL(queues, queues->lost_count >= (size_t)(2 * JOBS));
    queues_run(queues, LEASE_MS);
    assert_int_equal(queues->lost_count, 2 * JOBS);
    for (int i = 0; i < 2 * JOBS; i++)
        queues_settle_as(queues, queues->jobs[i], JOB_RETURNED);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), JOBS);
    queues_tear_down(queues);
}

/* Redis reads those that nobody holds, and does nothing else meanwhile. */
static void large_jobs_that_nobody_holds_are_looked_at_a_few_at_a_time(void **state)
{
    enum { JOBS = 12, SIZE = 100 * 1000, READ_MAX = 256 * 1024 };
    struct queues *queues = queues_begin(state, 1);
    char *payload = malloc(SIZE);

    assert_non_null(payload);
    memset(payload, 'x', SIZE);
    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 5-%d type t payload %b", i + 1, payload, (size_t)SIZE);
    free(payload);
    queues_start_client(queues, JOBS);
    queues_wait_for_jobs(queues, JOBS);
    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XACK weft:{q} weft 5-%d", i + 1);
    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    disturb(queues);
    WAIT_UNTIL(queues, queues->lost_count >= (size_t)JOBS);
    const char *looks = strstr(redis_server_ask(&queues->server, "INFO commandstats"), "cmdstat_xinfo|stream:calls=");

    assert_non_null(looks);
    assert_in_range(strtoll(strchr(looks, '=') + 1, NULL, 10), JOBS * SIZE / (READ_MAX + SIZE), JOBS);
    assert_int_equal(queues->lost_count, JOBS);
    queues_tear_down(queues);
}

/* Two workers that do not know of each other, and the first one's jobs, from one to the other. */
static void job_of_a_worker_that_stood_still_is_run_once_more_and_settled_once(void **state)
{
    struct queues *queues = begin(state, 1);
    struct queues *other = calloc(1, sizeof(*other));

    other->server = queues->server;
    queues_set_up(other, 2);
    other->consumer = "worker2";
    other->options.lease_ms = LEASE_MS;
    queues_start_client(other, 10);
    queues_start_maintenance(other);
    WAIT_UNTIL(other, other->reclaims == 1 && other->job_count == 1);
    assert_string_equal(other->reclaimed, "q worker1 1");
    queues_settle_as(other, other->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->lost_count == 1);
    assert_string_equal(queues->lost, "q 5-1");
    queues_settle_as(queues, queues->jobs[0], JOB_RETURNED);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    WAIT_UNTIL(other, queues_settled(other));
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j1 state"), "done");
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 0);
    queues_tear_down(other);
    free(other);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_that_another_worker_has_taken_is_told_as_lost),
        cmocka_unit_test(worker_that_stood_still_is_told_what_it_has_lost),
        cmocka_unit_test(job_that_another_worker_holds_is_lost_and_its_settlement_changes_nothing),
        cmocka_unit_test(job_that_redis_does_not_know_to_be_given_is_lost),
        cmocka_unit_test(job_whose_outcome_is_known_is_not_told_as_lost),
        cmocka_unit_test(jobs_that_redis_has_forgotten_are_nobody_elses),
        cmocka_unit_test(jobs_that_are_still_ours_are_not_told_as_lost),
        cmocka_unit_test(thousands_of_jobs_are_told_each_once),
        cmocka_unit_test(large_jobs_that_nobody_holds_are_looked_at_a_few_at_a_time),
        cmocka_unit_test(job_of_a_worker_that_stood_still_is_run_once_more_and_settled_once),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
