/* Keys of the wrong type, each of them: what is said, what waits, and what happens when the key is removed. */
#include "tests/unit/health_support.h"

/* One job each that is simply done, done with a result, retried, dead and returned: j0 to j4. */
enum { OUTCOMES = 5 };

static const enum job_outcome outcomes[OUTCOMES] = {JOB_DONE, JOB_DONE, JOB_RETRY, JOB_DEAD, JOB_RETURNED};

static void settle_number(struct queues *queues, int i)
{
    struct settlement settlement = queues_ran(queues->jobs[i], outcomes[i]);

    if (i == 1) {
        settlement.result = "result";
        settlement.result_size = 6;
    }
    settlement.due_ms = outcomes[i] == JOB_RETRY ? INT64_C(4102444800000) : 0;
    queues_settle(queues, &settlement);
}

static void settle_all(struct queues *queues)
{
    for (int i = 0; i < OUTCOMES; i++)
        settle_number(queues, i);
}

static void start_with_jobs(struct queues *queues)
{
    for (int i = 0; i < OUTCOMES; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 1-%d type t id j%d", i + 1, i);
    queues_start_client(queues, 100);
    queues_wait_for_jobs(queues, OUTCOMES);
}

/* The returned job comes back, since the client is running; everything else is where it belongs, once. */
static void assert_all_settled(struct queues *queues)
{
    struct redis_server *server = &queues->server;

    queues_wait_for_jobs(queues, OUTCOMES + 1);
    assert_string_equal(queues->jobs[OUTCOMES]->id, "j4");
    queues_settle_as(queues, queues->jobs[OUTCOMES], JOB_DONE);
    WAIT_UNTIL(queues, queues_settled(queues));
    assert_string_equal(redis_server_ask(server, "XLEN weft:{q}"), "0");
    assert_string_equal(redis_server_ask(server, "HGET weft:{q}:job:j0 state"), "done");
    assert_string_equal(redis_server_ask(server, "HGET weft:{q}:job:j1 result"), "result");
    assert_string_equal(redis_server_ask(server, "ZRANGE weft:{q}:delayed 0 -1"), "[j2]");
    assert_string_equal(redis_server_ask(server, "HKEYS weft:{q}:bodies"), "[j2]");
    assert_string_equal(redis_server_ask(server, "XLEN weft:{q}:dead"), "1");
    assert_string_equal(redis_server_ask(server, "LRANGE weft:{q}:failed 0 -1"), "[j3]");
    assert_string_equal(redis_server_ask(server, "LLEN weft:{q}:done"), "3");
    assert_int_equal(queues->job_count, OUTCOMES + 1);
}

/* Nothing of an outcome is written before all of it can be, and those of other kinds do not wait. */
static void check_key(struct queues *queues, const char *key, const char *sentence, const char *waiting)
{
    start_with_jobs(queues);
    redis_server_ask(&queues->server, "DEL %s", key);
    redis_server_ask(&queues->server, "SET %s precious", key);
    settle_all(queues);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 1200);
    assert_problem(queues, 0, sentence);
    assert_int_equal(queues->problem_count, 1);
    assert_string_equal(redis_server_ask(&queues->server, "GET %s", key), "precious");
    assert_string_equal(redis_server_ask(&queues->server, "XRANGE weft:{q} 1 1"), waiting);
    redis_server_ask(&queues->server, "DEL %s", key);
    assert_all_settled(queues);
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told(queues, sentence);
    queues_tear_down(queues);
}

static void list_of_done_jobs(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:done",
              "did not take the outcome of job j0: the key weft:{q}:done holds a string, not a list, and has to be "
              "removed; it is tried again each second",
              "[[1-1 [type t id j0]] [1-2 [type t id j1]]]");
}

static void list_of_failed_jobs(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:failed",
              "did not take the outcome of job j3: the key weft:{q}:failed holds a string, not a list, and has to be "
              "removed; it is tried again each second",
              "[[1-4 [type t id j3]]]");
}

static void dead_letters(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:dead",
              "did not take the outcome of job j3: the key weft:{q}:dead holds a string, not a stream, and has to be "
              "removed; it is tried again each second",
              "[[1-4 [type t id j3]]]");
}

static void delayed_jobs(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:delayed",
              "did not take the outcome of job j2: the key weft:{q}:delayed holds a string, not a sorted set, and has "
              "to be removed; it is tried again each second",
              "[[1-3 [type t id j2]]]");
}

static void bodies_of_delayed_jobs(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:bodies",
              "did not take the outcome of job j2: the key weft:{q}:bodies holds a string, not a hash, and has to be "
              "removed; it is tried again each second",
              "[[1-3 [type t id j2]]]");
}

static void report_of_a_job_that_is_done(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:job:j0",
              "did not take the outcome of job j0: the key weft:{q}:job:j0 holds a string, not a hash, and has to be "
              "removed; it is tried again each second",
              "[[1-1 [type t id j0]]]");
}

static void report_of_a_job_with_a_result(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:job:j1",
              "did not take the outcome of job j1: the key weft:{q}:job:j1 holds a string, not a hash, and has to be "
              "removed; it is tried again each second",
              "[[1-2 [type t id j1]]]");
}

static void report_of_a_job_that_is_retried(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:job:j2",
              "did not take the outcome of job j2: the key weft:{q}:job:j2 holds a string, not a hash, and has to be "
              "removed; it is tried again each second",
              "[[1-3 [type t id j2]]]");
}

static void report_of_a_job_that_is_dead(void **state)
{
    check_key(queues_begin(state, 1), "weft:{q}:job:j3",
              "did not take the outcome of job j3: the key weft:{q}:job:j3 holds a string, not a hash, and has to be "
              "removed; it is tried again each second",
              "[[1-4 [type t id j3]]]");
}

/* The stream itself: jobs in flight are gone with it, and what they came to can be written nowhere. */
static void stream(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    start_with_jobs(queues);
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "SET weft:{q} precious");
    settle_all(queues);
    WAIT_UNTIL(queues, queues->problem_count > 1);
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id other");
    queues_wait_for_jobs(queues, OUTCOMES + 1);
    queues_let_pass(queues, 1200);
    assert_int_equal(queues->problem_count, 2);
    assert_true(has_problem(queues,
                            "does not let us read queue q: the key weft:{q} holds something other than a stream; "
                            "the queue works again once that key is removed"));
    assert_true(has_problem(queues, "did not take outcomes of queue q: the key weft:{q} holds a string, not a stream, "
                                    "and has to be removed; they are tried again each second"));
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id after");
    queues_wait_for_jobs(queues, OUTCOMES + 2);
    assert_string_equal(queues->jobs[OUTCOMES + 1]->id, "after");
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    queue_client_stop(queues->client);
    queues_settle_as(queues, queues->jobs[OUTCOMES], JOB_DONE);
    queues_settle_as(queues, queues->jobs[OUTCOMES + 1], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(queues->job_count, OUTCOMES + 2);
    queues_tear_down(queues);
}

/* A connection that is lost meanwhile: the job is pending in Redis, and must not be taken for one that got lost. */
static void job_whose_outcome_waits_is_not_run_again_after_a_lost_connection(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_jobs(queues);
    redis_server_ask(&queues->server, "SET weft:{q}:job:j0 precious");
    settle_number(queues, 0);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id after");
    queues_wait_for_jobs(queues, OUTCOMES + 1);
    assert_string_equal(queues->jobs[OUTCOMES]->id, "after");
    queues_let_pass(queues, 1200);
    assert_false(is_well_again(queues));
    redis_server_ask(&queues->server, "DEL weft:{q}:job:j0");
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:j0 state", "done"));
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    assert_int_equal(queues->job_count, OUTCOMES + 1);
    queues_tear_down(queues);
}

static void client_that_stops_is_not_drained_before_the_outcome_is_taken(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_jobs(queues);
    redis_server_ask(&queues->server, "SET weft:{q}:job:j0 precious");
    queue_client_stop(queues->client);
    settle_all(queues);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 1200);
    assert_int_equal(queues->drained, 0);
    assert_false(queue_client_is_settled(queues->client));
    assert_int_equal(queue_client_count_unsettled(queues->client), 1);
    assert_string_equal(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[1 1-1 1-1 [[worker1 1]]]");
    redis_server_ask(&queues->server, "DEL weft:{q}:job:j0");
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j0 state"), "done");
    assert_int_equal(queue_client_count_unsettled(queues->client), 0);
    queues_tear_down(queues);
}

/* Each done for itself, so that each is a batch of its own. */
static void jobs_of_a_queue_are_not_run_on_and_on_when_no_outcome_is_taken(void **state)
{
    struct queues *queues = queues_begin(state, 2);
    size_t count;

    queues->on_job = queues_do_job;
    redis_server_ask(&queues->server, "SET weft:{q}:done precious");
    for (int i = 0; i < 400; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id j%d", i);
    queues_start_client(queues, 1);
    queues_wait_for_jobs(queues, 250);
    queues_let_pass(queues, 1200);
    count = queues->job_count;
    assert_in_range(count, 250, 350);
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id other");
    queues_wait_for_jobs(queues, count + 1);
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{r}:job:other state", "done"));
    queues_let_pass(queues, 1200);
    assert_int_equal(queues->job_count, count + 1);
    assert_int_equal(queues->problem_count, 1);
    redis_server_ask(&queues->server, "DEL weft:{q}:done");
    queues_wait_for_jobs(queues, 401);
    WAIT_UNTIL(queues, queues_says(queues, "LLEN weft:{q}:done", "400"));
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    assert_int_equal(queues->job_count, 401);
    queues_tear_down(queues);
}

/* Notes are no outcomes: they say nothing of a key that is not theirs, and are not counted twice. */
static void notes_about_a_job_leave_a_key_alone_that_is_no_report(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_jobs(queues);
    redis_server_ask(&queues->server, "SET weft:{q}:job:j0 precious");
    assert_int_equal(queue_client_report_running(queues->client, queues->jobs[0], 1, NULL), 0);
    assert_int_equal(queue_client_add_subtasks(queues->client, queues->jobs[0], 1, 0), 0);
    WAIT_UNTIL(queues, queue_client_is_settled(queues->client));
    assert_string_equal(redis_server_ask(&queues->server, "GET weft:{q}:job:j0"), "precious");
    assert_int_equal(queues->problem_count, 0);
    queues_tear_down(queues);
}

static void subtasks_are_counted_once_where_another_outcome_of_the_batch_waits(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    start_with_jobs(queues);
    settle_number(queues, 1);
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:j1 state", "done"));
    redis_server_ask(&queues->server, "SET weft:{q}:job:j0 precious");
    settle_number(queues, 0);
    assert_int_equal(queue_client_add_subtasks(queues->client, queues->jobs[1], 2, 1), 0);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 2500);
    redis_server_ask(&queues->server, "DEL weft:{q}:job:j0");
    WAIT_UNTIL(queues, queue_client_is_settled(queues->client));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:j1 subtasks subtasks_failed"), "[2 1]");
    assert_string_equal(redis_server_ask(&queues->server, "HGET weft:{q}:job:j0 state"), "done");
    queues_tear_down(queues);
}

/* ---- Jobs that come due ---- */

static void check_promotion(struct queues *queues, const char *key, const char *sentence)
{
    redis_server_ask(&queues->server, "EVAL %s 0",
                     "redis.call('HSET', 'weft:{q}:bodies', 'j', cmsgpack.pack({'type', 't'})) "
                     "redis.call('ZADD', 'weft:{q}:delayed', 1, 'j') return redis.call('KEYS', '*')");
    redis_server_ask(&queues->server, "RENAMENX %s aside", key);
    redis_server_ask(&queues->server, "SET %s precious", key);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 600);
    assert_problem(queues, 0, sentence);
    assert_int_equal(queues->problem_count, 1);
    redis_server_ask(&queues->server, "DEL %s", key);
    redis_server_ask(&queues->server, "RENAME aside %s", key);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told(queues, sentence);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:delayed weft:{q}:bodies"), "0");
    queues_tear_down(queues);
}

static void delayed_jobs_that_come_due(void **state)
{
    check_promotion(queues_begin(state, 1), "weft:{q}:delayed",
                    "does not let us run a delayed job that is due: the key weft:{q}:delayed holds a string, not a "
                    "sorted set, and has to be removed");
}

static void bodies_of_delayed_jobs_that_come_due(void **state)
{
    check_promotion(
        queues_begin(state, 1), "weft:{q}:bodies",
        "does not let us run a delayed job that is due: the key weft:{q}:bodies holds a string, not a hash, "
        "and has to be removed");
}

static void stream_into_which_delayed_jobs_come(void **state)
{
    check_promotion(queues_begin(state, 1), "weft:{q}",
                    "does not let us run a delayed job that is due: the key weft:{q} holds a string, not a stream, and "
                    "has to be removed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_of_done_jobs),
        cmocka_unit_test(list_of_failed_jobs),
        cmocka_unit_test(dead_letters),
        cmocka_unit_test(delayed_jobs),
        cmocka_unit_test(bodies_of_delayed_jobs),
        cmocka_unit_test(report_of_a_job_that_is_done),
        cmocka_unit_test(report_of_a_job_with_a_result),
        cmocka_unit_test(report_of_a_job_that_is_retried),
        cmocka_unit_test(report_of_a_job_that_is_dead),
        cmocka_unit_test(stream),
        cmocka_unit_test(job_whose_outcome_waits_is_not_run_again_after_a_lost_connection),
        cmocka_unit_test(client_that_stops_is_not_drained_before_the_outcome_is_taken),
        cmocka_unit_test(jobs_of_a_queue_are_not_run_on_and_on_when_no_outcome_is_taken),
        cmocka_unit_test(notes_about_a_job_leave_a_key_alone_that_is_no_report),
        cmocka_unit_test(subtasks_are_counted_once_where_another_outcome_of_the_batch_waits),
        cmocka_unit_test(delayed_jobs_that_come_due),
        cmocka_unit_test(bodies_of_delayed_jobs_that_come_due),
        cmocka_unit_test(stream_into_which_delayed_jobs_come),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
