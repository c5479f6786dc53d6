/* Unique keys of jobs that others have added: who has them, what becomes of the others. */
#include "tests/unit/queue_support.h"

#define LOCK "weft:{q}:unique:k"

static bool has_lock(struct queues *queues, const struct job *job)
{
    char owner[256];

    (void)snprintf(owner, sizeof(owner), "%s %s", job->entry, job->id);
    return queues_says(queues, "GET " LOCK, owner);
}

static void add(struct queues *queues, const char *id)
{
    redis_server_ask(&queues->server, "XADD weft:{q} * type t unique k id %s", id);
}

static void the_first_of_a_batch_has_the_key_and_the_others_are_its_duplicates(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    add(queues, "one");
    add(queues, "two");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t unique other id three");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[0]->id, "one");
    assert_string_equal(queues->jobs[1]->id, "three");
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:two duplicate_of", "one"));
    assert_string_equal(queues->duplicate, "two of one");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:two state"), "duplicate");
    assert_true(has_lock(queues, queues->jobs[0]));
    assert_true(queues_says(queues, "XLEN weft:{q}", "2"));
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DEAD);
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_true(queues_says(queues, "EXISTS " LOCK " weft:{q}:unique:other", "0"));
    queues_tear_down(queues);
}

static void a_job_that_waits_has_the_key_until_it_is_done_and_frees_only_its_own(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    add(queues, "one");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    struct settlement retry = queues_ran(queues->jobs[0], JOB_RETRY);
    retry.due_ms = 1;
    queues_settle(queues, &retry);
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_true(queues_says(queues, "GET " LOCK, "delayed one"));
    queues_start_maintenance(queues);
    queues_wait_for_jobs(queues, 2);
    assert_true(has_lock(queues, queues->jobs[1]));
    redis_server_ask(&queues->server, "DEL " LOCK); /* as when unique_for is over */
    add(queues, "two");
    queues_wait_for_jobs(queues, 3);
    assert_string_equal(queues->jobs[2]->id, "two");
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:one state", "done"));
    assert_true(has_lock(queues, queues->jobs[2]));
    queues_tear_down(queues);
}

/* Redis is asked again each second. */
static void a_job_that_is_given_to_another_while_it_waits_for_its_key_is_not_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "RPUSH " LOCK " x");
    add(queues, "one");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_non_null(strstr(queues->problems[0], "the key " LOCK " holds a list, not a string, and has to be removed"));
    freeReplyObject(redisCommand(queues->server.context, "EVAL %s 0",
                                 "local entry = redis.call('XRANGE', 'weft:{q}', '-', '+')[1][1] "
                                 "redis.call('XCLAIM', 'weft:{q}', 'weft', 'other', 0, entry) "
                                 "redis.call('DEL', '" LOCK "')"));
    WAIT_UNTIL(queues, strcmp(queues->problems[queues->problem_count - 1], "") == 0);
    assert_int_equal(queues->job_count, 0);
    assert_true(queues_says(queues, "EXISTS " LOCK, "0"));
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    queues_tear_down(queues);
}

static void a_job_takes_its_key_in_a_full_redis(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=xreadgroup") != NULL);
    assert_string_equal(redis_server_ask(&queues->server, "CONFIG SET maxmemory 1"), "OK");
    freeReplyObject(redisCommand(queues->server.context, "EVAL %s 0",
                                 "redis.call('DEL','none') redis.call('XADD','weft:{q}','*','type','t','unique','k')"));
    queues_wait_for_jobs(queues, 1);
    assert_true(has_lock(queues, queues->jobs[0]));
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_true(queues_says(queues, "EXISTS " LOCK, "0"));
    assert_string_equal(redis_server_ask(&queues->server, "CONFIG SET maxmemory 0"), "OK");
    queues_tear_down(queues);
}

static void more_than_a_script_takes_get_their_keys_one_part_after_the_other(void **state)
{
    enum { JOBS = 300 };
    struct queues *queues = queues_begin(state, 1);

    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t unique k%d", i);
    queues_start_client(queues, JOBS);
    queues_wait_for_jobs(queues, JOBS);
    for (int i = 0; i < JOBS; i++)
        queues_settle_as(queues, queues->jobs[i], JOB_DONE);
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_string_equal(redis_server_ask(&queues->server, "KEYS weft:*:unique:*"), "[]");
    queues_tear_down(queues);
}

/* Only the scripts for unique keys read and write such values. */
static void jobs_without_a_unique_key_cost_redis_nothing_for_it(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    for (int i = 0; i < 100; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues->on_job = queues_do_job;
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 100);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    const char *stats = redis_server_ask(&queues->server, "INFO commandstats");
    assert_non_null(strstr(stats, "cmdstat_xack"));
    assert_null(strstr(stats, "cmdstat_get:"));
    assert_null(strstr(stats, "cmdstat_set:"));
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_a_batch_has_the_key_and_the_others_are_its_duplicates),
        cmocka_unit_test(a_job_that_waits_has_the_key_until_it_is_done_and_frees_only_its_own),
        cmocka_unit_test(a_job_that_is_given_to_another_while_it_waits_for_its_key_is_not_run),
        cmocka_unit_test(a_job_takes_its_key_in_a_full_redis),
        cmocka_unit_test(more_than_a_script_takes_get_their_keys_one_part_after_the_other),
        cmocka_unit_test(jobs_without_a_unique_key_cost_redis_nothing_for_it),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
