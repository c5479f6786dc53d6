/* What is in Redis after a job has been settled in each of the ways there are. */
#include "queue/scripts/scripts.h"
#include "queue/settle/batch.h"
#include "tests/unit/queue_support.h"

#define JOB_KEY "weft:{q}:job:1763922000123-0"

static struct job *fetch_one(struct queues *queues, const char *fields)
{
    char command[512];

    (void)snprintf(command, sizeof(command), "XADD weft:{q} 1763922000123-0 %s", fields);
    assert_string_equal(redis_server_ask(&queues->server, command), "1763922000123-0");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    return queues->jobs[0];
}

static void done_job_leaves_only_its_report(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct job *job = fetch_one(queues, "type user.profile payload x request_id req-A");

    assert_string_equal(job->id, "1763922000123-0");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS %s", JOB_KEY), "0");
    queues_settle_as(queues, job, JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL %s", JOB_KEY),
                        "[state done type user.profile attempt 1 node node1 enqueued_at 2025-11-23T18:20:00.123Z "
                        "started_at 2025-11-23T18:20:00.250Z finished_at 2025-11-23T18:20:01.750Z duration_us "
                        "1500000]");
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[0 nil nil nil]");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[1763922000123-0]");
    long long ttl = redis_server_count(&queues->server, "PTTL " JOB_KEY);

    assert_true(ttl > 0 && ttl <= 3600000);
    assert_string_equal(redis_server_ask(&queues->server, "DBSIZE"), "4");
    queues_tear_down(queues);
}

static void reports_of_one_batch_each_say_what_is_true_of_their_job(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id a");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000124-0 type other id b weft.attempt 3");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000124-1 type other id c weft.attempt 3");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000124-2 type t id a");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 4);
    for (int i = 0; i < 4; i++) {
        struct settlement settlement = queues_ran(queues->jobs[i], JOB_DONE);

        settlement.duration_us += i;
        queues_settle(queues, &settlement);
    }
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    static const char expected[] = "[state done type %s attempt %d node node1 enqueued_at 2025-11-23T18:20:00.124Z "
                                   "started_at 2025-11-23T18:20:00.250Z finished_at 2025-11-23T18:20:01.750Z "
                                   "duration_us %d]";
    char text[512];

    (void)snprintf(text, sizeof(text), expected, "t", 1, 1500003);
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:job:a"), text);
    (void)snprintf(text, sizeof(text), expected, "other", 4, 1500001);
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:job:b"), text);
    (void)snprintf(text, sizeof(text), expected, "other", 4, 1500002);
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:job:c"), text);
    assert_true(redis_server_count(&queues->server, "PTTL weft:{q}:job:a") > 0);
    assert_true(redis_server_count(&queues->server, "PTTL weft:{q}:job:b") > 0);
    assert_true(redis_server_count(&queues->server, "PTTL weft:{q}:job:c") > 0);
    queues_tear_down(queues);
}

static void report_has_result_progress_and_subtasks_where_there_are_any(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement = queues_ran(fetch_one(queues, "type t"), JOB_DONE);

    settlement.result = "a\0b";
    settlement.result_size = 3;
    settlement.progress = "half";
    settlement.subtasks = 3;
    settlement.subtasks_failed = 1;
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server,
                                         "HMGET %s state duration_us result progress subtasks "
                                         "subtasks_failed error",
                                         JOB_KEY),
                        "[done 1500000 a\\x00b half 3 1 nil]");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[1763922000123-0]");
    queues_tear_down(queues);
}

static void report_keeps_nothing_of_an_earlier_attempt(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    assert_string_equal(redis_server_ask(&queues->server, "HSET %s state retrying error boom progress 9", JOB_KEY),
                        "3");
    queues_settle_as(queues, fetch_one(queues, "type t"), JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET %s state error progress", JOB_KEY), "[done nil nil]");
    assert_string_equal(redis_server_ask(&queues->server, "HLEN %s", JOB_KEY), "8");
    queues_tear_down(queues);
}

static void cancelled_job_leaves_its_report(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement = queues_ran(fetch_one(queues, "type t"), JOB_CANCELLED);

    settlement.error = "cancelled by somebody";
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET %s state error", JOB_KEY),
                        "[cancelled cancelled by somebody]");
    assert_string_equal(redis_server_ask(&queues->server, "DBSIZE"), "4");
    queues_tear_down(queues);
}

static void retried_job_waits_among_the_delayed_with_its_exact_message(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    const char payload[] = "\x00\xff\xfe{\"a\":1}\n";
    struct settlement settlement;
    struct job *job;

    assert_string_equal(redis_server_ask(&queues->server,
                                         "XADD weft:{q} 1763922000123-0 type t id order-7 delay 0 payload %b tenant "
                                         "acme tenant twice",
                                         payload, sizeof(payload) - 1),
                        "1763922000123-0");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    job = queues->jobs[0];
    settlement = queues_ran(job, JOB_RETRY);
    settlement.error = "no answer";
    settlement.due_ms = INT64_C(4000000000000);
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1 WITHSCORES"),
                        "[order-7 4000000000000]");
    assert_string_equal(redis_server_ask(&queues->server, "EVAL %s 1 weft:{q}:bodies",
                                         "return cmsgpack.unpack(redis.call('HGET', KEYS[1], 'order-7'))"),
                        "[type t id order-7 payload \\x00\\xff\\xfe{\"a\":1}\\x0a tenant acme tenant twice "
                        "weft.id order-7 weft.attempt 1 weft.enqueued_at 1763922000123]");
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:order-7 state error attempt"),
                        "[retrying no answer 1]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:done"), "0");
    queues_tear_down(queues);
}

static void retry_that_is_not_charged_does_not_count_as_an_attempt(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement = queues_ran(fetch_one(queues, "type t weft.attempt 2 weft.id j"), JOB_RETRY);

    assert_int_equal(queues->jobs[0]->attempt, 3);
    settlement.charged = false;
    settlement.due_ms = INT64_C(4000000000000);
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "EVAL %s 1 weft:{q}:bodies",
                                         "return cmsgpack.unpack(redis.call('HGET', KEYS[1], 'j'))"),
                        "[type t weft.id j weft.attempt 2 weft.enqueued_at 1763922000123]");
    queues_tear_down(queues);
}

static void job_that_is_not_due_is_delayed_and_takes_no_room(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id later at 4000000000");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id now");
    queues_start_client(queues, 1);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "now");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1 WITHSCORES"),
                        "[later 4000000000000]");
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:job:later"),
                        "[state delayed type t attempt 1 node node1 enqueued_at 2025-11-23T18:20:00.123Z]");
    assert_string_equal(redis_server_ask(&queues->server, "EVAL %s 1 weft:{q}:bodies",
                                         "return cmsgpack.unpack(redis.call('HGET', KEYS[1], 'later'))"),
                        "[type t id later weft.id later weft.attempt 0 weft.enqueued_at 1763922000123]");
    queues_tear_down(queues);
}

/* Redis copies their messages, and does nothing else meanwhile. */
static void large_jobs_are_put_aside_a_few_at_a_time(void **state)
{
    enum { JOBS = 12, SIZE = 100 * 1000 };
    struct queues *queues = queues_begin(state, 1);
    char *payload = malloc(SIZE);

    assert_non_null(payload);
    memset(payload, 'x', SIZE);
    for (int i = 0; i < JOBS; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t payload %b", payload, (size_t)SIZE);
    free(payload);
    queues_start_client(queues, JOBS);
    queues_wait_for_jobs(queues, JOBS);
    redis_server_ask(&queues->server, "CONFIG SET slowlog-log-slower-than 0");
    redis_server_ask(&queues->server, "SLOWLOG RESET");
    for (int i = 0; i < JOBS; i++) {
        struct settlement settlement = queues_ran(queues->jobs[i], JOB_RETRY);

        settlement.due_ms = INT64_C(4000000000000);
        queues_settle(queues, &settlement);
    }
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    long long calls = strtoll(redis_server_ask(&queues->server, "EVAL %s 0 %s",
                                               "local calls = 0\n"
                                               "for _, entry in ipairs(redis.call('SLOWLOG', 'GET', -1)) do\n"
                                               "    calls = calls + (entry[4][2] == ARGV[1] and 1 or 0)\n"
                                               "end\n"
                                               "return calls",
                                               queue_script_settle.sha),
                              NULL, 10);
    redis_server_ask(&queues->server, "CONFIG SET slowlog-log-slower-than -1");

    assert_in_range(calls, JOBS * SIZE / (BATCH_COPIED_MAX + SIZE), JOBS);
    queues_tear_down(queues);
}

static void two_delayed_jobs_with_the_same_id_are_both_kept(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id same at 4000000000 payload first");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-1 type t id same at 4000000001 payload second");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues_says(queues, "ZCARD weft:{q}:delayed", "2"));
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:delayed 0 -1"),
                        "[same same 1763922000123-1]");
    assert_string_equal(redis_server_ask(&queues->server, "HLEN weft:{q}:bodies"), "2");
    queues_tear_down(queues);
}

static void dead_job_becomes_a_dead_letter(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct settlement settlement = queues_ran(
        fetch_one(queues, "type t delay 0 payload x weft.id j weft.attempt 4 weft.enqueued_at 1763922000001"),
        JOB_DEAD);

    settlement.error = "it never works";
    queues_settle(queues, &settlement);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    const char *letter = redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +");

    assert_non_null(strstr(letter, " [type t delay 0 payload x weft.id j weft.error it never works weft.attempts 5 "
                                   "weft.node node1 weft.failed_at 2025-11-23T18:20:01.750Z]]]"));
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:job:j"),
                        "[state dead type t attempt 5 node node1 enqueued_at 2025-11-23T18:20:00.001Z started_at "
                        "2025-11-23T18:20:00.250Z finished_at 2025-11-23T18:20:01.750Z duration_us 1500000 error it "
                        "never works]");
    assert_true(redis_server_count(&queues->server, "PTTL weft:{q}:job:j") > 3600000);
    queues_tear_down(queues);
}

static void dead_letters_and_their_reports_are_bounded(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.keep_dead = 2;
    for (int i = 0; i < 5; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type nosuch id bad-%d", i);
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->rejected_count == 5 && queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}:dead"), "2");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:bad-2"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:bad-3 state"), "dead");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:bad-4 state"), "dead");
    queues_tear_down(queues);
}

static void returned_job_is_back_in_the_stream_once_with_its_identity(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct job *job = fetch_one(queues, "type t payload x weft.id j weft.attempt 1 weft.enqueued_at 1763922000001");
    struct settlement settlement = queues_ran(job, JOB_RETURNED);

    settlement.charged = false;
    assert_int_equal(queue_client_settle(queues->client, &settlement), 0);
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[1]->id, "j");
    assert_int_equal(queues->jobs[1]->attempt, 2);
    assert_int_equal(queues->jobs[1]->enqueued_ms, INT64_C(1763922000001));
    const char *entries = redis_server_ask(&queues->server, "XRANGE weft:{q} - +");

    assert_non_null(strstr(entries, " [type t payload x weft.id j weft.attempt 1 weft.enqueued_at 1763922000001]]]"));
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "1");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:j"), "0");
    queues_tear_down(queues);
}

static void running_job_is_shown_and_then_overwritten(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct job *job = fetch_one(queues, "type t");

    assert_int_equal(queue_client_report_running(queues->client, job, INT64_C(1763922000250), "step 2"), 0);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS " JOB_KEY, "1"));
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL %s", JOB_KEY),
                        "[state running type t attempt 1 node node1 enqueued_at 2025-11-23T18:20:00.123Z started_at "
                        "2025-11-23T18:20:00.250Z progress step 2]");
    assert_true(redis_server_count(&queues->server, "PTTL " JOB_KEY) > 3600000);
    queues_settle_as(queues, job, JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET %s state progress", JOB_KEY), "[done nil]");
    queues_tear_down(queues);
}

static void settled_job_is_never_shown_as_running(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct job *job = fetch_one(queues, "type t");

    assert_int_equal(queue_client_report_running(queues->client, job, 1, NULL), 0);
    queues_settle_as(queues, job, JOB_DONE);
    assert_int_equal(queue_client_report_running(queues->client, job, 1, NULL), 0);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "HGET %s state", JOB_KEY), "done");
    queues_tear_down(queues);
}

static void late_subtasks_are_added_only_to_a_report_that_is_there(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct job *job = fetch_one(queues, "type t");

    assert_int_equal(queue_client_add_subtasks(queues->client, job, 2, 1), 0);
    queues_settle_as(queues, job, JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_int_equal(queue_client_add_subtasks(queues->client, job, 3, 1), 0);
    WAIT_UNTIL(queues, queues_says(queues, "HEXISTS " JOB_KEY " subtasks", "1"));
    (void)redis_server_ask(&queues->server, "DEL %s", JOB_KEY);
    assert_int_equal(queue_client_add_subtasks(queues->client, job, 3, 1), 0);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS %s", JOB_KEY), "0");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_job_leaves_only_its_report),
        cmocka_unit_test(reports_of_one_batch_each_say_what_is_true_of_their_job),
        cmocka_unit_test(report_has_result_progress_and_subtasks_where_there_are_any),
        cmocka_unit_test(report_keeps_nothing_of_an_earlier_attempt),
        cmocka_unit_test(cancelled_job_leaves_its_report),
        cmocka_unit_test(retried_job_waits_among_the_delayed_with_its_exact_message),
        cmocka_unit_test(retry_that_is_not_charged_does_not_count_as_an_attempt),
        cmocka_unit_test(job_that_is_not_due_is_delayed_and_takes_no_room),
        cmocka_unit_test(large_jobs_are_put_aside_a_few_at_a_time),
        cmocka_unit_test(two_delayed_jobs_with_the_same_id_are_both_kept),
        cmocka_unit_test(dead_job_becomes_a_dead_letter),
        cmocka_unit_test(dead_letters_and_their_reports_are_bounded),
        cmocka_unit_test(returned_job_is_back_in_the_stream_once_with_its_identity),
        cmocka_unit_test(running_job_is_shown_and_then_overwritten),
        cmocka_unit_test(settled_job_is_never_shown_as_running),
        cmocka_unit_test(late_subtasks_are_added_only_to_a_report_that_is_there),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
