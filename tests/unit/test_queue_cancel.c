/* Cancelling in Redis and in a worker's client: what waits is taken off, what runs is told, what arrives is not run. */
#include "queue/consumer/control.h"
#include "queue/scripts/scripts.h"
#include "tests/unit/queue_support.h"

#define KEYS                                                                                                           \
    "11 weft:{q} weft:{q}:delayed weft:{q}:dead weft:{q}:bodies weft:{q}:done weft:{q}:failed weft:{q}:cancel "        \
    "weft:{q}:ps weft:control weft:due weft:workers"
#define NOW "2025-11-23T18:30:00.000Z"

static const char *call(struct queues *queues, const char *act, const char *id, const char *entry)
{
    return redis_server_ask(&queues->server,
                            "EVAL %s " KEYS " %s %s %s 3600000 " NOW " 2025-11-23T18:20:00.123Z 3600000 2",
                            queue_script_cancel.source, act, id, entry);
}

static const char *look(struct queues *queues, const char *id)
{
    return call(queues, "0", id, "");
}

static const char *cancel(struct queues *queues, const char *id)
{
    return call(queues, "1", id, "");
}

static const char *report_of(struct queues *queues, const char *id)
{
    return redis_server_ask(&queues->server, "HGETALL weft:{q}:job:%s", id);
}

/* ---- What waits ---- */

static void delayed_job_is_taken_out_and_has_a_report(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t at 2999-01-01T00:00:00Z id j");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues_says(queues, "ZCARD weft:{q}:delayed", "1"));
    assert_string_equal(look(queues, "j"), "[delayed 0 1763922000123]");
    assert_string_equal(redis_server_ask(&queues->server, "ZCARD weft:{q}:delayed"), "1");
    assert_string_equal(cancel(queues, "j"), "[delayed 0 1763922000123]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed weft:{q}:bodies weft:{q}:cancel"),
                        "0");
    assert_string_equal(report_of(queues, "j"),
                        "[state cancelled type t attempt 1 node node1 enqueued_at 2025-11-23T18:20:00.123Z "
                        "finished_at " NOW " error cancelled]");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[j]");
    assert_string_equal(look(queues, "j"), "[cancelled 0 ]");
    queues_tear_down(queues);
}

static void report_of_a_retried_job_keeps_what_it_says_of_the_last_attempt(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement;

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    settlement = queues_ran(queues->jobs[0], JOB_RETRY);
    settlement.due_ms = INT64_C(33000000000000);
    settlement.error = "the shop is closed";
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "ZCARD weft:{q}:delayed", "1"));
    assert_string_equal(cancel(queues, "1763922000123-0"), "[delayed 0 1763922000123]");
    assert_string_equal(report_of(queues, "1763922000123-0"),
                        "[state cancelled type t attempt 1 node node1 enqueued_at 2025-11-23T18:20:00.123Z "
                        "started_at 2025-11-23T18:20:00.250Z finished_at " NOW " duration_us 1500000 error cancelled]");
    queues_tear_down(queues);
}

static void queued_job_is_taken_off_whether_there_is_a_group_or_not(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    for (int i = 0; i < 2; i++) {
        redis_server_ask(&queues->server, "DEL weft:{q}");
        redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t weft.attempt 2");
        if (i == 1)
            redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0");
        assert_string_equal(look(queues, "1763922000123-0"), "[queued 0 1763922000123]");
        assert_string_equal(cancel(queues, "1763922000123-0"), "[queued 0 1763922000123]");
        assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "0");
        assert_string_equal(report_of(queues, "1763922000123-0"),
                            "[attempt 3 enqueued_at 2025-11-23T18:20:00.123Z type t state cancelled finished_at " NOW
                            " error cancelled]");
        assert_true(redis_server_count(&queues->server, "PTTL weft:{q}:job:1763922000123-0") > 0);
    }
    queues_tear_down(queues);
}

static void job_with_an_id_of_its_own_is_found_by_its_entry_and_not_by_anothers(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 17-0 type t id mine");
    redis_server_ask(&queues->server, "XADD weft:{q} 18-0 type t weft.id 7-0");
    assert_string_equal(look(queues, "17-0"), "[unknown 0 ]");
    assert_string_equal(look(queues, "18-0"), "[unknown 0 ]");
    assert_string_equal(look(queues, "00018-0"), "[unknown 0 ]");
    assert_string_equal(look(queues, "99999999999999999999999-0"), "[unknown 0 ]");
    assert_string_equal(call(queues, "1", "mine", "17-0"), "[queued 0 17]");
    assert_string_equal(redis_server_ask(&queues->server, "XRANGE weft:{q} - +"), "[[18-0 [type t weft.id 7-0]]]");
    queues_tear_down(queues);
}

static void report_of_an_earlier_job_of_the_same_id_is_replaced(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "HSET weft:{q}:job:j state done type old attempt 7 result 42");
    assert_string_equal(look(queues, "j"), "[done 0 ]");
    redis_server_ask(&queues->server, "XADD weft:{q} 17-0 type t id j");
    assert_string_equal(call(queues, "1", "j", "17-0"), "[queued 0 17]");
    assert_string_equal(report_of(queues, "j"),
                        "[attempt 1 enqueued_at 2025-11-23T18:20:00.123Z type t state cancelled "
                        "finished_at " NOW " error cancelled]");
    queues_tear_down(queues);
}

static void reports_of_cancelled_jobs_are_bounded(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 17-0 type t");
    redis_server_ask(&queues->server, "XADD weft:{q} 18-0 type t");
    redis_server_ask(&queues->server, "XADD weft:{q} 19-0 type t");
    cancel(queues, "17-0");
    cancel(queues, "18-0");
    cancel(queues, "19-0");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[18-0 19-0]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:17-0"), "0");
    queues_tear_down(queues);
}

/* ---- What runs ---- */

static struct job *run_one(struct queues *queues)
{
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    return queues->jobs[0];
}

static void job_in_flight_is_noted_and_its_worker_told_once_for_each_time(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    (void)run_one(queues);
    assert_string_equal(look(queues, "1763922000123-0"), "[running 0 1763922000123]");
    assert_string_equal(cancel(queues, "1763922000123-0"), "[running 1 1763922000123]");
    WAIT_UNTIL(queues, queues->cancelled_count == 1);
    assert_string_equal(queues->cancelled, "q 1763922000123-0");
    redis_server_ask(&queues->server, "ZADD weft:{q}:cancel 99999999999999 another");
    WAIT_UNTIL(queues, queues->cancelled_count == 2);
    assert_string_equal(queues->cancelled, "q another");
    redis_server_ask(&queues->server, "ZADD weft:{q}:cancel 99999999999998 another");
    WAIT_UNTIL(queues, queues->cancelled_count == 3);
    queues_tear_down(queues);
}

static void note_goes_when_the_job_has_ended_and_stays_while_it_has_not(void **state)
{
    static const struct {
        enum job_outcome outcome;
        const char *noted;
    } cases[] = {{JOB_DONE, "0"}, {JOB_DEAD, "0"}, {JOB_CANCELLED, "0"}, {JOB_RETRY, "1"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct queues *queues = queues_begin(state, 1);
        struct job *job = run_one(queues);
        struct settlement settlement = queues_ran(job, cases[i].outcome);

        redis_server_ask(&queues->server, "ZADD weft:{q}:cancel 99999999999999 1763922000123-0 99999999999999 another");
        settlement.due_ms = INT64_C(33000000000000);
        queues_settle(queues, &settlement);
        WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
        assert_string_equal(redis_server_ask(&queues->server, "ZCOUNT weft:{q}:cancel -inf +inf"),
                            cases[i].noted[0] == '1' ? "2" : "1");
        queues_tear_down(queues);
    }
}

/* ---- What arrives ---- */

static void job_that_is_to_be_cancelled_is_settled_without_being_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id j delay 1d tenant acme");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-1 type t id other");
    assert_string_equal(cancel(queues, "j"), "[unknown 1 ]");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "other");
    assert_string_equal(queues->discarded, "j acme");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:j state type error"),
                        "[cancelled t cancelled]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:cancel weft:{q}:delayed"), "0");
    assert_int_equal(queues->job_count, 1);
    queues_tear_down(queues);
}

static void job_of_the_same_id_that_was_enqueued_later_is_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    assert_string_equal(cancel(queues, "j"), "[unknown 1 ]");
    redis_server_sleep_ms(5);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "j");
    queues_tear_down(queues);
}

static void job_is_cancelled_though_the_streams_clock_is_ahead_of_redis(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 2763922000123-0 type t id j");
    redis_server_ask(&queues->server, "XADD weft:{q} 2763922000124-0 type t id other");
    cancel(queues, "j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "other");
    queues_tear_down(queues);
}

static void key_that_is_something_else_is_told_and_jobs_are_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "SET weft:{q}:cancel x");
    queues_settle_as(queues, run_one(queues), JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_non_null(
        strstr(queues->problems[0], " does not tell which jobs of queue q are to be cancelled: WRONGTYPE "));
    redis_server_ask(&queues->server, "DEL weft:{q}:cancel");
    WAIT_UNTIL(queues, queues->problem_count == 2);
    assert_string_equal(queues->problems[1], "");
    queues_tear_down(queues);
}

static void maintenance_forgets_what_was_noted_long_ago(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    redis_server_ask(&queues->server, "ZADD weft:{r}:cancel 1763922000123 long-ago 99999999999999 later");
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues_says(queues, "ZRANGE weft:{r}:cancel 0 -1", "[later]"));
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delayed_job_is_taken_out_and_has_a_report),
        cmocka_unit_test(report_of_a_retried_job_keeps_what_it_says_of_the_last_attempt),
        cmocka_unit_test(queued_job_is_taken_off_whether_there_is_a_group_or_not),
        cmocka_unit_test(job_with_an_id_of_its_own_is_found_by_its_entry_and_not_by_anothers),
        cmocka_unit_test(report_of_an_earlier_job_of_the_same_id_is_replaced),
        cmocka_unit_test(reports_of_cancelled_jobs_are_bounded),
        cmocka_unit_test(job_in_flight_is_noted_and_its_worker_told_once_for_each_time),
        cmocka_unit_test(note_goes_when_the_job_has_ended_and_stays_while_it_has_not),
        cmocka_unit_test(job_that_is_to_be_cancelled_is_settled_without_being_run),
        cmocka_unit_test(job_of_the_same_id_that_was_enqueued_later_is_run),
        cmocka_unit_test(job_is_cancelled_though_the_streams_clock_is_ahead_of_redis),
        cmocka_unit_test(key_that_is_something_else_is_told_and_jobs_are_run),
        cmocka_unit_test(maintenance_forgets_what_was_noted_long_ago),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
