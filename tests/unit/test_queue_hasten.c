/* Jobs that were put off and are to come at once. */
#include "tests/unit/queue_support.h"

/* A time that does not come. */
static int64_t due_ms(int number)
{
    return INT64_C(4000000000000) + number;
}

static void put_off(struct queues *queues, const struct job *job, int number)
{
    const struct settlement settlement = {.job = job, .outcome = JOB_DELAYED, .due_ms = due_ms(number)};

    queues_settle(queues, &settlement);
}

static void hasten(struct queues *queues, const struct job *job, int number)
{
    assert_int_equal(queue_client_hasten(queues->client, job->queue, job->id, job->entry, due_ms(number)), 0);
}

/* Delayed jobs that come due before that. */
static long long count_delayed(struct queues *queues, const char *before)
{
    return strtoll(redis_server_ask(&queues->server, "ZCOUNT weft:{q}:delayed -inf %s", before), NULL, 10);
}

static void wait_until_delayed(struct queues *queues, long long jobs)
{
    WAIT_UNTIL(queues, queues_settled(queues) && count_delayed(queues, "+inf") == jobs);
}

static void jobs_that_are_hastened_come_due_at_once_and_others_in_their_time(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    for (int i = 0; i < 3; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id job%d", i);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 3);
    for (int i = 0; i < 3; i++)
        put_off(queues, queues->jobs[i], i);
    wait_until_delayed(queues, 3);
    hasten(queues, queues->jobs[1], 1);
    hasten(queues, queues->jobs[2], 5); /* somebody has put it off again */
    WAIT_UNTIL(queues, count_delayed(queues, "(4000000000000") == 1);
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 0"), "[job1]");
    assert_int_equal(strtoll(redis_server_ask(&queues->server, "ZSCORE weft:due q"), NULL, 10) < due_ms(0), 1);
    /* The supervisor's part. */
    queues_start_maintenance(queues);
    queues_wait_for_jobs(queues, 4);
    assert_string_equal(queues->jobs[3]->id, "job1");
    assert_int_equal(count_delayed(queues, "+inf"), 2);
    queues_tear_down(queues);
}

static void of_two_jobs_with_one_id_the_one_that_is_meant_is_hastened(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} * type t id twin number 0");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id twin number 1");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 2);
    for (int i = 0; i < 2; i++)
        put_off(queues, queues->jobs[i], i);
    wait_until_delayed(queues, 2);
    hasten(queues, queues->jobs[1], 1);
    queues_start_maintenance(queues);
    queues_wait_for_jobs(queues, 3);
    assert_string_equal(queues->jobs[2]->metadata[0].value, "1");
    queues_tear_down(queues);
}

static void more_than_a_script_takes_are_hastened_one_part_after_the_other(void **state)
{
    enum { JOBS = 700 };
    struct queues *queues = queues_begin(state, 1);

    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_start_client(queues, JOBS);
    queues_wait_for_jobs(queues, JOBS);
    for (int i = 0; i < JOBS; i++)
        put_off(queues, queues->jobs[i], i);
    wait_until_delayed(queues, JOBS);
    for (int i = 0; i < JOBS; i++)
        hasten(queues, queues->jobs[i], i);
    WAIT_UNTIL(queues, count_delayed(queues, "(4000000000000") == JOBS);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_that_are_hastened_come_due_at_once_and_others_in_their_time),
        cmocka_unit_test(of_two_jobs_with_one_id_the_one_that_is_meant_is_hastened),
        cmocka_unit_test(more_than_a_script_takes_are_hastened_one_part_after_the_other),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
