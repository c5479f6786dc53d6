/* Delayed jobs come back when they are due, and dead consumers' jobs at once. */
#include "queue/scripts/scripts.h"
#include "tests/unit/consumer_support.h"

static int64_t unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void retried_job_comes_back_with_its_exact_message_and_identity(void **state)
{
    struct queues *queues = queues_begin(state, 2);
    const char payload[] = "\x00\xff\xfe{\"a\":1}\n";
    struct settlement settlement;
    struct job *job;

    queues_start_maintenance(queues);
    redis_server_ask(&queues->server, "XADD weft:{r} 1763922000123-0 type t id j payload %b tenant acme", payload,
                     sizeof(payload) - 1);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    settlement = queues_ran(queues->jobs[0], JOB_RETRY);
    settlement.due_ms = unix_ms() + 30;
    queues_settle(queues, &settlement);
    queues_wait_for_jobs(queues, 2);
    assert_true(unix_ms() >= settlement.due_ms);
    job = queues->jobs[1];
    assert_string_equal(job->id, "j");
    assert_string_equal(job->queue, "r");
    assert_int_equal(job->attempt, 2);
    assert_int_equal(job->enqueued_ms, INT64_C(1763922000123));
    assert_int_equal(job->due_ms, 0);
    assert_int_equal(job->payload_size, sizeof(payload) - 1);
    assert_memory_equal(job->payload, payload, sizeof(payload));
    assert_int_equal(job->metadata_count, 1);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{r}:delayed weft:{r}:bodies"), "0");
    queues_tear_down(queues);
}

static void hundreds_of_delayed_jobs_come_back_each_once(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->on_job = queues_do_job;
    for (int i = 0; i < 500; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id j%d delay 50ms", i);
    queues_start_client(queues, 600);
    queues_start_maintenance(queues);
    queues_wait_for_jobs(queues, 500);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(queues->job_count, 500);
    assert_string_equal(redis_server_ask(&queues->server, "LLEN weft:{q}:done"), "500");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed weft:{q}:bodies"), "0");
    queues_tear_down(queues);
}

static void job_that_is_not_due_stays_delayed(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} * type t id later delay 1h");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id soon delay 30ms");
    queues_start_client(queues, 10);
    queues_start_maintenance(queues);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "soon");
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1"), "[later]");
    queues_tear_down(queues);
}

static void queue_that_cannot_be_written_does_not_hold_up_another(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    redis_server_ask(&queues->server, "XADD weft:{q} * type t id stuck delay 2s");
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id free delay 2s");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS weft:{q}:delayed weft:{r}:delayed", "2"));
    queues->client = queue_client_free(queues->client);
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "SET weft:{q} x");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{r}", "1"));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1"), "[stuck]");
    redis_server_ask(&queues->server, "DEL weft:{q}");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    queues_tear_down(queues);
}

static void jobs_of_a_dead_consumer_are_given_back_uncharged(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    redis_server_ask(&queues->server, "XADD weft:{q} 5-1 type t payload %b", "a\0b", (size_t)3);
    redis_server_ask(&queues->server, "XADD weft:{q} 5-2 type t id own weft.id own weft.attempt 2 weft.enqueued_at 77");
    redis_server_ask(&queues->server, "XADD weft:{q} 5-3 type t id deleted");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft dead STREAMS weft:{q} >");
    redis_server_ask(&queues->server, "XADD weft:{q} 5-4 type t id other");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft alive STREAMS weft:{q} >");
    redis_server_ask(&queues->server, "XDEL weft:{q} 5-3");
    queues_start_maintenance(queues);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "dead"), 0);
    WAIT_UNTIL(queues, queues->reclaimed[0] != '\0');
    assert_string_equal(queues->reclaimed, "q dead 2");
    assert_int_equal(queues->ready, 1);
    const char *entries = redis_server_ask(&queues->server, "XRANGE weft:{q} - +");

    assert_non_null(strstr(entries, "[[5-4 [type t id other]] ["));
    assert_non_null(strstr(entries, " [type t payload a\\x00b weft.id 5-1 weft.enqueued_at 5]] "));
    assert_non_null(strstr(entries, " [type t id own weft.id own weft.attempt 2 weft.enqueued_at 77]]]"));
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[1 5-4 5-4 [[alive 1]]]");
    assert_null(strstr(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "dead"));
    queues_tear_down(queues);
}

static void hundreds_of_jobs_and_one_huge_message_are_given_back(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    for (int i = 0; i < 350; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_add_huge_message(queues);
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft dead COUNT 1000 STREAMS weft:{q} >");
    queues_start_maintenance(queues);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "dead"), 0);
    WAIT_UNTIL(queues, queues->reclaimed[0] != '\0');
    assert_string_equal(queues->reclaimed, "q dead 351");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "351");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    queues_tear_down(queues);
}

/* ---- In slices ---- */

static void add_jobs(struct queues *queues, int count, size_t payload_size)
{
    char *payload = calloc(1, payload_size + 1);

    memset(payload, 'x', payload_size);
    for (int i = 0; i < count; i++)
        freeReplyObject(
            redisCommand(queues->server.context, "XADD weft:{q} * type t id j%d payload %b", i, payload, payload_size));
    free(payload);
}

/* Has a consumer read all of the queue, without taking it into the test. */
static void give_all(struct queues *queues, const char *consumer)
{
    freeReplyObject(redisCommand(queues->server.context, "XGROUP CREATE weft:{q} weft 0 MKSTREAM"));
    freeReplyObject(redisCommand(queues->server.context, "XREADGROUP GROUP weft %s STREAMS weft:{q} >", consumer));
}

static const char *reaper_slice(struct queues *queues, const char *consumer, const char *silence)
{
    return redis_server_ask(&queues->server, "EVAL %s 1 weft:{q} %s %s", queue_script_reclaim.source, consumer,
                            silence);
}

static void slice_of_a_give_back_leaves_the_rest_with_its_consumer(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    add_jobs(queues, 3, 300 * 1024);
    give_all(queues, "dead");
    for (int left = 2; left > 0; left--) {
        assert_string_equal(reaper_slice(queues, "dead", "0"), "[1 1]");
        assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 3);
        assert_int_equal(consumers_held(queues, "dead"), left);
    }
    assert_string_equal(reaper_slice(queues, "dead", "0"), "[1 0]");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 3);
    queues_tear_down(queues);
}

static void consumer_that_comes_back_between_slices_keeps_the_rest(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    add_jobs(queues, 3, 300 * 1024);
    give_all(queues, "frozen");
    redis_server_sleep_ms(20);
    assert_string_equal(reaper_slice(queues, "frozen", "10"), "[1 1]");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft frozen STREAMS weft:{q} 99999999999999-0");
    assert_string_equal(reaper_slice(queues, "frozen", "10000"), "[0 0]");
    assert_int_equal(consumers_held(queues, "frozen"), 2);
    queues_tear_down(queues);
}

/* Whoever begins a give-back, anybody can end it. */
static void give_back_that_somebody_left_unfinished_is_finished_by_another_maintenance(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    const char *dead = consumers_name_dead(1);

    add_jobs(queues, 40, 300 * 1024);
    give_all(queues, dead);
    queues_start_maintenance(queues);
    assert_int_equal(maintenance_reclaim(queues->maintenance, dead), 0);
    WAIT_UNTIL(queues, consumers_held(queues, dead) < 40);
    queues->maintenance = maintenance_free(queues->maintenance);
    assert_int_equal(queues->reclaims, 0);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->reclaims == 1);
    assert_false(consumers_has(queues, dead));
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 40);
    queues_tear_down(queues);
}

/* Redis does nothing else while a script runs, so much work has to be many short scripts. How long each of them takes
 * is watched by tests/bench/load and tests/chaos: here it would depend on whom the machine lets run meanwhile. */
static long long count_scripts(struct queues *queues)
{
    static const char *const commands[] = {"cmdstat_eval:calls=", "cmdstat_evalsha:calls="};
    const char *statistics = redis_server_ask(&queues->server, "INFO commandstats");
    long long count = 0;

    for (size_t i = 0; i < 2; i++) {
        const char *found = strstr(statistics, commands[i]);

        count += found ? strtoll(found + strlen(commands[i]), NULL, 10) : 0;
    }
    return count;
}

static void give_back_of_thousands_is_done_in_slices(void **state)
{
    enum { JOBS = 20000, SLICE_MAX = 500 };
    struct queues *queues = queues_begin(state, 1);
    char expected[64];

    add_jobs(queues, JOBS, 100);
    give_all(queues, "dead");
    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    queues_start_maintenance(queues);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "dead"), 0);
    WAIT_UNTIL(queues, queues->reclaims == 1);
    (void)snprintf(expected, sizeof(expected), "q dead %d", JOBS);
    assert_string_equal(queues->reclaimed, expected);
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), JOBS);
    assert_true(count_scripts(queues) >= JOBS / SLICE_MAX);
    queues_tear_down(queues);
}

static void reclaiming_is_done_when_redis_is_back(void **state)
{
    struct queues *queues = calloc(1, sizeof(*queues));

    (void)state;
    queues->server.durable = true;
    redis_server_start(&queues->server);
    queues_set_up(queues, 1);
    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft dead STREAMS weft:{q} >");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    redis_server_kill(&queues->server);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "dead"), 0);
    redis_server_up(&queues->server);
    WAIT_UNTIL(queues, queues->reclaimed[0] != '\0');
    assert_string_equal(queues->reclaimed, "q dead 1");
    assert_string_equal(queues->problems[queues->problem_count - 1], "");
    assert_int_equal(queues->ready, 1);
    queues_tear_down(queues);
    redis_server_stop(&queues->server);
    free(queues);
}

static void maintenance_survives_flushed_scripts_and_keys(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues_start_client(queues, 10);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    redis_server_ask(&queues->server, "SCRIPT FLUSH");
    redis_server_ask(&queues->server, "FLUSHALL");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j delay 20ms");
    queues_wait_for_jobs(queues, 1);
    assert_int_equal(maintenance_reclaim(queues->maintenance, "nobody"), 0);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "INFO commandstats"), "delconsumer") != NULL);
    queues_tear_down(queues);
}

/* ---- What is due, by the set of queues ---- */

static void delay_one(struct queues *queues, const char *queue)
{
    redis_server_ask(&queues->server, "EVAL %s 0 %s",
                     "redis.call('HSET', 'weft:{' .. ARGV[1] .. '}:bodies', 'j', cmsgpack.pack({'type', 't'})) "
                     "redis.call('ZADD', 'weft:{' .. ARGV[1] .. '}:delayed', 1, 'j')",
                     queue);
}

static void settling_says_which_queue_has_delayed_jobs_and_promoting_takes_it_back(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    redis_server_ask(&queues->server, "XADD weft:{r} * type t id later at 2999-01-01T00:00:00Z");
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id sooner at 2998-01-01T00:00:00Z");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues_says(queues, "ZCARD weft:{r}:delayed", "2"));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:due 0 -1 WITHSCORES"), "[r 32440608000000]");
    redis_server_ask(&queues->server, "DEL weft:{r}:delayed weft:{r}:bodies");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS weft:due", "0"));
    queues_tear_down(queues);
}

static void delayed_job_of_which_nobody_has_told_is_found_in_turn(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    queues_run(queues, 600);
    delay_one(queues, "r");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{r}", "1"));
    queues_tear_down(queues);
}

static void delayed_job_of_a_queue_that_is_not_served_here_is_promoted_too(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    delay_one(queues, "elsewhere");
    redis_server_ask(&queues->server, "ZADD weft:due 1 elsewhere");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{elsewhere}", "1"));
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:due"), "0");
    queues_tear_down(queues);
}

static void set_of_due_queues_that_is_something_else_is_told_and_jobs_are_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "SET weft:due x");
    delay_one(queues, "q");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_non_null(strstr(queues->problems[0], "the key weft:due holds a string, not a sorted set"));
    redis_server_ask(&queues->server, "DEL weft:due");
    WAIT_UNTIL(queues, queues->problem_count == 2);
    assert_string_equal(queues->problems[1], "");
    queues_tear_down(queues);
}

static void tens_of_thousands_that_are_due_at_once_are_promoted_in_slices(void **state)
{
    enum { JOBS = 50000, SLICE_MAX = 400 };
    struct queues *queues = queues_begin(state, 2);

    redis_server_ask(&queues->server, "EVAL %s 0 %d",
                     "local body = cmsgpack.pack({'type', 't'}) for i = 1, ARGV[1] do "
                     "redis.call('HSET', 'weft:{q}:bodies', i, body) redis.call('ZADD', 'weft:{q}:delayed', i, i) end",
                     JOBS);
    delay_one(queues, "r");
    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{r}", "1"));
    assert_true(redis_server_count(&queues->server, "XLEN weft:{q}") < JOBS);
    WAIT_UNTIL(queues, redis_server_count(&queues->server, "XLEN weft:{q}") == JOBS);
    assert_true(count_scripts(queues) >= JOBS / SLICE_MAX);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed weft:{q}:bodies weft:due"), "0");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retried_job_comes_back_with_its_exact_message_and_identity),
        cmocka_unit_test(hundreds_of_delayed_jobs_come_back_each_once),
        cmocka_unit_test(job_that_is_not_due_stays_delayed),
        cmocka_unit_test(queue_that_cannot_be_written_does_not_hold_up_another),
        cmocka_unit_test(jobs_of_a_dead_consumer_are_given_back_uncharged),
        cmocka_unit_test(hundreds_of_jobs_and_one_huge_message_are_given_back),
        cmocka_unit_test(slice_of_a_give_back_leaves_the_rest_with_its_consumer),
        cmocka_unit_test(consumer_that_comes_back_between_slices_keeps_the_rest),
        cmocka_unit_test(give_back_that_somebody_left_unfinished_is_finished_by_another_maintenance),
        cmocka_unit_test(give_back_of_thousands_is_done_in_slices),
        cmocka_unit_test(settling_says_which_queue_has_delayed_jobs_and_promoting_takes_it_back),
        cmocka_unit_test(delayed_job_of_which_nobody_has_told_is_found_in_turn),
        cmocka_unit_test(delayed_job_of_a_queue_that_is_not_served_here_is_promoted_too),
        cmocka_unit_test(set_of_due_queues_that_is_something_else_is_told_and_jobs_are_run),
        cmocka_unit_test(tens_of_thousands_that_are_due_at_once_are_promoted_in_slices),
        cmocka_unit_test(reclaiming_is_done_when_redis_is_back),
        cmocka_unit_test(maintenance_survives_flushed_scripts_and_keys),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
