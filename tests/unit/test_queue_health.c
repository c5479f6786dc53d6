/* What goes wrong in Redis, or is done to it, while jobs are on their way. */
#include "tests/unit/queue_support.h"

#define JOB_KEY "weft:{q}:job:j"

static void start_with_job(struct queues *queues)
{
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
}

static void flushed_redis_is_read_again(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    start_with_job(queues);
    redis_server_ask(&queues->server, "FLUSHALL");
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id after");
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[1]->id, "after");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE); /* nobody knows it any more */
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS %s weft:{r}:job:after", JOB_KEY), "1");
    queues_tear_down(queues);
}

static void stream_deleted_during_a_blocked_read_is_made_again(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_job(queues);
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id after");
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[1]->id, "after");
    queues_tear_down(queues);
}

static void flushed_scripts_are_loaded_again(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_job(queues);
    redis_server_ask(&queues->server, "SCRIPT FLUSH");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS " JOB_KEY, "1"));
    redis_server_ask(&queues->server, "SCRIPT FLUSH");
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    assert_int_equal(queues->problem_count, 0);
    queues_tear_down(queues);
}

static void job_settled_by_somebody_else_stays_as_it_is(void **state)
{
    static const enum job_outcome outcomes[] = {JOB_DONE,      JOB_RETRY,   JOB_DEAD,
                                                JOB_CANCELLED, JOB_DELAYED, JOB_RETURNED};

    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        struct queues *queues = queues_begin(state, 1);

        start_with_job(queues);
        assert_string_equal(redis_server_ask(&queues->server, "XACK weft:{q} weft 1763922000123-0"), "1");
        queues_settle_as(queues, queues->jobs[0], outcomes[i]);
        queue_client_stop(queues->client);
        WAIT_UNTIL(queues, queues->drained == 1);
        assert_string_equal(redis_server_ask(&queues->server, "KEYS weft:{*"), "[weft:{q}]");
        assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "1");
        queues_tear_down(queues);
    }
}

static void one_job_of_a_batch_that_was_settled_elsewhere_does_not_hinder_the_others(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    for (int i = 0; i < 3; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 1-%d type t id j%d", i + 1, i);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 3);
    redis_server_ask(&queues->server, "XACK weft:{q} weft 1-2");
    redis_server_ask(&queues->server, "XDEL weft:{q} 1-2");
    for (int i = 0; i < 3; i++)
        queues_settle_as(queues, queues->jobs[i], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[j0 j2]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:j0"), "1");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:j1"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:j2"), "1");
    queues_tear_down(queues);
}

static void job_whose_entry_a_user_deleted_is_settled_with_what_is_known(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement;

    for (int i = 0; i < 4; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 1-%d type t id j%d", i + 1, i);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 4);
    redis_server_ask(&queues->server, "XTRIM weft:{q} MAXLEN 0");
    settlement = queues_ran(queues->jobs[1], JOB_DEAD);
    settlement.error = "broken";
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle(queues, &settlement);
    queues_settle_as(queues, queues->jobs[2], JOB_RETRY);
    queues_settle_as(queues, queues->jobs[3], JOB_RETURNED);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j0 state"), "done");
    assert_non_null(strstr(redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +"),
                           " [weft.id j1 weft.error broken weft.attempts 1 weft.node node1 weft.failed_at "));
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed weft:{q}:job:j2 weft:{q}:job:j3"),
                        "0");
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[0 nil nil nil]");
    assert_int_equal(queues->problem_count, 0);
    queues_tear_down(queues);
}

static void outcome_that_cannot_be_written_waits_and_hinders_no_other(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement;
    char expected[512];

    for (int i = 0; i < 4; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 1-%d type t id j%d", i + 1, i);
    redis_server_ask(&queues->server, "SET weft:{q}:job:j1 precious");
    redis_server_ask(&queues->server, "SET weft:{q}:job:j2 precious");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 4);
    settlement = queues_ran(queues->jobs[2], JOB_RETRY);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    queues_settle(queues, &settlement);
    queues_settle_as(queues, queues->jobs[3], JOB_DEAD);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j0 state"), "done");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j3 state"), "dead");
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[2 1-2 1-3 [[worker1 2]]]");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "2");
    assert_string_equal(redis_server_ask(&queues->server, "GET weft:{q}:job:j1"), "precious");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed"), "0");
    (void)snprintf(
        expected, sizeof(expected),
        "Redis at %s did not take the outcome of job j1: the key weft:{q}:job:j1 holds a string, not a hash, "
        "and has to be removed; it is tried again each second",
        queues->server.socket);
    assert_string_equal(queues->problems[0], expected);
    redis_server_ask(&queues->server, "DEL weft:{q}:job:j1 weft:{q}:job:j2");
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:j1 state type attempt duration_us"),
                        "[done t 1 1500000]");
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1"), "[j2]");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "0");
    queues_tear_down(queues);
}

static void queue_whose_key_is_something_else_holds_up_no_other(void **state)
{
    struct queues *queues = queues_begin(state, 2);
    char expected[512];

    redis_server_ask(&queues->server, "SET weft:{q} x");
    queues_start_client(queues, 10);
    for (int i = 0; i < 3; i++) {
        redis_server_ask(&queues->server, "XADD weft:{r} * type t");
        queues_wait_for_jobs(queues, (size_t)i + 1);
    }
    (void)snprintf(
        expected, sizeof(expected),
        "Redis at %s does not let us read queue q: the key weft:{q} holds something other than a stream; the "
        "queue works again once that key is removed",
        queues->server.socket);
    assert_string_equal(queues->problems[0], expected);
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id healed");
    queues_wait_for_jobs(queues, 4);
    assert_string_equal(queues->jobs[3]->id, "healed");
    queues_tear_down(queues);
}

static void reports_of_done_jobs_are_bounded_by_count(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.keep_done_max = 10;
    queues->on_job = queues_do_job;
    for (int i = 0; i < 300; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id j%d", i);
    queues_start_client(queues, 300);
    queues_wait_for_jobs(queues, 300);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"),
                        "[j290 j291 j292 j293 j294 j295 j296 j297 j298 j299]");
    assert_string_equal(redis_server_ask(&queues->server, "DBSIZE"), "12");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:j289 weft:{q}:job:j290"), "1");
    queues_tear_down(queues);
}

/* The first of the batch is still running; the others are taken off the stream in whole nodes, and it must stay. */
static void slow_job_in_front_of_many_done_ones_stays(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    for (int i = 0; i < 400; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 7-%d type t id j%d", i + 1, i);
    queues_start_client(queues, 400);
    queues_wait_for_jobs(queues, 400);
    for (int i = 1; i < 400; i++)
        queues_settle_as(queues, queues->jobs[i], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "LLEN weft:{q}:done", "399"));
    assert_string_equal(redis_server_ask(&queues->server, "XRANGE weft:{q} - +"), "[[7-1 [type t id j0]]]");
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[1 7-1 7-1 [[worker1 1]]]");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    queues_tear_down(queues);
}

/* So must what others hold, and what nobody has been given yet. */
static void entries_of_others_around_many_done_ones_stay(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->on_job = queues_do_job;
    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    for (int i = 0; i < 600; i++) {
        redis_server_ask(&queues->server, "XADD weft:{q} 7-%d type t id j%d", i + 1, i);
        if (i == 99 || i == 399)
            redis_server_ask(&queues->server, "XREADGROUP GROUP weft other COUNT 100 STREAMS weft:{q} >");
        if (i == 299) {
            queues_start_client(queues, 200);
            queues_wait_for_jobs(queues, 200);
            queue_client_stop(queues->client);
            WAIT_UNTIL(queues, queues->drained == 1);
        }
    }
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "400");
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[200 7-1 7-400 [[other 200]]]");
    assert_string_equal(redis_server_ask(&queues->server, "XRANGE weft:{q} (7-100 + COUNT 1"),
                        "[[7-301 [type t id j300]]]");
    queues_tear_down(queues);
}

static void no_report_of_a_done_job_is_written_when_none_is_kept(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.keep_done_ms = 0;
    start_with_job(queues);
    assert_int_equal(queue_client_report_running(queues->client, queues->jobs[0], 1, NULL), 0);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS " JOB_KEY, "1"));
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "KEYS weft:{*"), "[weft:{q}]");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_redis_is_read_again),
        cmocka_unit_test(stream_deleted_during_a_blocked_read_is_made_again),
        cmocka_unit_test(flushed_scripts_are_loaded_again),
        cmocka_unit_test(job_settled_by_somebody_else_stays_as_it_is),
        cmocka_unit_test(one_job_of_a_batch_that_was_settled_elsewhere_does_not_hinder_the_others),
        cmocka_unit_test(job_whose_entry_a_user_deleted_is_settled_with_what_is_known),
        cmocka_unit_test(outcome_that_cannot_be_written_waits_and_hinders_no_other),
        cmocka_unit_test(queue_whose_key_is_something_else_holds_up_no_other),
        cmocka_unit_test(reports_of_done_jobs_are_bounded_by_count),
        cmocka_unit_test(slow_job_in_front_of_many_done_ones_stays),
        cmocka_unit_test(entries_of_others_around_many_done_ones_stay),
        cmocka_unit_test(no_report_of_a_done_job_is_written_when_none_is_kept),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
