/* Dead letters that are retried or deleted. */
#include "queue/scripts/scripts.h"
#include "tests/unit/queue_support.h"

#define KEYS "7 weft:{q} weft:{q}:delayed weft:{q}:dead weft:{q}:bodies weft:{q}:done weft:{q}:failed weft:{q}:cancel"

static const char *revive(struct queues *queues, const char *first, const char *last, const char *limit)
{
    return redis_server_ask(&queues->server, "EVAL %s " KEYS " %s %s %s", queue_script_revive.source, first, last,
                            limit);
}

static const char *erase(struct queues *queues, const char *entry)
{
    return redis_server_ask(&queues->server, "EVAL %s " KEYS " %s", queue_script_erase.source, entry);
}

/* Runs the jobs that there are and lets them die. */
static void kill_jobs(struct queues *queues, size_t count)
{
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, count);
    for (size_t i = 0; i < count; i++) {
        struct settlement settlement = queues_ran(queues->jobs[i], JOB_DEAD);

        settlement.error = "no";
        queues_settle(queues, &settlement);
    }
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
}

static void retried_letter_is_the_job_that_it_was(void **state)
{
    static const char payload[] = "\x00\xff\xfe{\"a\":1}\n";
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct queues *queues = queues_begin(state, 1);
    struct job *job;

    redis_server_ask(&queues->server,
                     "XADD weft:{q} 1763922000123-0 type t weft.attempt 4 payload %b tenant acme traceparent %s",
                     payload, sizeof(payload) - 1, trace);
    kill_jobs(queues, 1);
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}:dead"), "1");
    assert_string_equal(revive(queues, "-", "+", "10"), "1");
    queues_wait_for_jobs(queues, 2);
    job = queues->jobs[1];
    assert_string_equal(job->id, "1763922000123-0");
    assert_string_not_equal(job->entry, job->id);
    assert_int_equal(job->attempt, 1);
    assert_int_equal(job->payload_size, sizeof(payload) - 1);
    assert_memory_equal(job->payload, payload, sizeof(payload));
    assert_int_equal(job->metadata_count, 1);
    assert_string_equal(job->metadata[0].value, "acme");
    assert_string_equal(job->trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:dead weft:{q}:job:1763922000123-0"), "1");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}:dead"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:failed"), "0");
    queues_tear_down(queues);
}

static void job_that_has_waited_does_not_wait_again_and_a_refused_message_stays_as_it_is(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q}:dead 1-0 type t delay 1h weft.id a weft.attempts 2 weft.error no");
    redis_server_ask(&queues->server, "XADD weft:{q}:dead 2-0 type t delay soon weft.id b weft.attempts 0 weft.node n");
    assert_string_equal(revive(queues, "-", "+", "10"), "2");
    const char *entries = redis_server_ask(&queues->server, "XRANGE weft:{q} - +");

    assert_non_null(strstr(entries, "[type t weft.id a]"));
    assert_non_null(strstr(entries, "[type t delay soon weft.id b]"));
    queues_tear_down(queues);
}

static void no_more_than_were_asked_for_are_retried(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q}:dead 1-0 type t weft.id a weft.attempts 1");
    redis_server_ask(&queues->server, "XADD weft:{q}:dead 2-0 type t weft.id b weft.attempts 1");
    redis_server_ask(&queues->server, "XADD weft:{q}:dead 3-0 type t weft.id c weft.attempts 1");
    assert_string_equal(revive(queues, "-", "2-0", "1"), "1");
    assert_string_equal(revive(queues, "-", "2-0", "10"), "1");
    assert_string_equal(revive(queues, "-", "2-0", "10"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +"),
                        "[[3-0 [type t weft.id c weft.attempts 1]]]");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "2");
    queues_tear_down(queues);
}

static void huge_letter_is_retried_though_commands_have_fewer_words(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues_add_huge_message(queues);
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}:dead", "1"));
    redis_server_ask(&queues->server, "XGROUP DESTROY weft:{q} weft");
    assert_string_equal(revive(queues, "-", "+", "10"), "1");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}:dead"), "0");
    queues_tear_down(queues);
}

static void deleted_letter_takes_its_report_along(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-0 type t id a");
    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-1 type t id b");
    kill_jobs(queues, 2);
    redis_server_ask(&queues->server, "HSET weft:{q}:job:b state running");
    char first[32], second[32];

    (void)sscanf(redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +"), "[[%31s", first);
    (void)sscanf(redis_server_ask(&queues->server, "XREVRANGE weft:{q}:dead + -"), "[[%31s", second);
    assert_string_equal(erase(queues, first), "1");
    assert_string_equal(erase(queues, first), "0");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:failed 0 -1"), "[b]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:job:a"), "0");
    assert_string_equal(erase(queues, second), "1");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:b state"), "running");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}:dead"), "0");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retried_letter_is_the_job_that_it_was),
        cmocka_unit_test(job_that_has_waited_does_not_wait_again_and_a_refused_message_stays_as_it_is),
        cmocka_unit_test(no_more_than_were_asked_for_are_retried),
        cmocka_unit_test(huge_letter_is_retried_though_commands_have_fewer_words),
        cmocka_unit_test(deleted_letter_takes_its_report_along),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
