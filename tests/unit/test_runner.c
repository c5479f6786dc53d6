/* Chains, verdicts, middleware, interruptions: how the runner takes a job to its outcome. */
#include "tests/support/runner_support.h"

static int first(struct weft_job *job)
{
    (void)job;
    note("first");
    return weft_set("who", "first");
}

static int second(struct weft_job *job)
{
    note("second");
    note(weft_get("who") ? weft_get("who") : "nobody");
    note(weft_get("user"));
    return weft_result(job, "{}");
}

static int fails(struct weft_job *job)
{
    return weft_fail(job, "order %d is wrong", 7);
}

static int retries(struct weft_job *job)
{
    return weft_retry(job, 1234, "the shop is closed");
}

static int returns_errno(struct weft_job *job)
{
    (void)job;
    return -ECONNREFUSED;
}

static int returns_positive(struct weft_job *job)
{
    (void)job;
    return 5;
}

static int sleeps(struct weft_job *job)
{
    (void)job;
    return weft_sleep_ms(60000);
}

static void handlers_run_in_order_and_see_what_earlier_ones_set(void **state)
{
    (void)state;
    RUN({"first", first}, {"second", second});
    assert_string_equal(trace, "first second first ada");
    assert_int_equal(told.outcome, JOB_DONE);
    assert_string_equal(told.result, "{}");
}

static void a_job_that_fails_for_good_is_dead_with_its_reason(void **state)
{
    (void)state;
    RUN({"fails", fails}, {"second", second});
    assert_int_equal(told.outcome, JOB_DEAD);
    assert_string_equal(told.error, "order 7 is wrong");
    assert_string_equal(trace, "");
}

static void an_errno_is_retried_by_the_policy(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"call", returns_errno}}, .attempt = 2});
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_int_equal(told.retry_ms, 80);
    assert_string_equal(told.error, "call: Connection refused");
}

static void the_last_attempt_is_not_retried(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"call", returns_errno}}, .attempt = 3});
    assert_int_equal(told.outcome, JOB_DEAD);
    run_job(&(struct run){.handlers = {{"call", retries}}, .attempt = 3});
    assert_int_equal(told.outcome, JOB_DEAD);
}

static void a_handler_chooses_the_delay_of_its_retry(void **state)
{
    (void)state;
    RUN({"call", retries});
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_int_equal(told.retry_ms, 1234);
    assert_string_equal(told.error, "the shop is closed");
}

static void a_positive_result_is_a_mistake_that_is_explained(void **state)
{
    (void)state;
    RUN({"odd", returns_positive});
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_string_equal(told.error, "odd: returned 5, which is neither 0 nor a negative errno");
}

static int around(struct weft_job *job)
{
    WEFT_SCOPE();
    note("before");
    if (weft_set("who", "around") < 0)
        return -ENOMEM;
    int r = weft_next(job);
    note("after");
    EXPECT_TEXT(weft_get("who"), "around");
    EXPECT_TEXT(weft_get("weft.handler"), "around");
    EXPECT_EQUAL(weft_next(job), -EALREADY);
    return r;
}

static void middleware_runs_the_rest_inside_its_scope_and_only_once(void **state)
{
    (void)state;
    RUN({"around", around}, {"second", second});
    assert_string_equal(trace, "before second around ada after");
    assert_int_equal(told.outcome, JOB_DONE);
    RUN({"around", around}, {"first", first}, {"fails", fails}, {"second", second});
    assert_string_equal(trace, "before first after");
    assert_int_equal(told.outcome, JOB_DEAD);
}

static int swallows(struct weft_job *job)
{
    EXPECT(weft_next(job) < 0);
    note("swallowed");
    return 0;
}

static void middleware_may_swallow_a_failure_but_skipped_handlers_stay_skipped(void **state)
{
    (void)state;
    RUN({"swallows", swallows}, {"call", returns_errno}, {"second", second});
    assert_string_equal(trace, "swallowed");
    assert_int_equal(told.outcome, JOB_DONE);
}

static int fails_after_all(struct weft_job *job)
{
    EXPECT_EQUAL(weft_next(job), 0);
    return -EIO;
}

static int swallows_all(struct weft_job *job)
{
    (void)weft_next(job);
    return 0;
}

static void a_swallowed_failure_does_not_decide_a_later_one(void **state)
{
    (void)state;
    RUN({"outer", fails_after_all}, {"swallows", swallows_all}, {"fails", fails});
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_string_equal(told.error, "outer: Input/output error");
}

static void a_job_that_takes_too_long_is_woken_and_retried(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"sleeps", sleeps}}, .timeout_ms = 20});
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_string_equal(told.error, "timed out after 20 ms");
}

static void a_shutdown_returns_what_it_interrupts(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"sleeps", sleeps}}, .shut_down = true});
    assert_int_equal(told.outcome, JOB_RETURNED);
}

static int sleeps_and_cleans_up(struct weft_job *job)
{
    EXPECT_EQUAL(weft_sleep_ms(60000), -ECANCELED);
    note("cleaned up");
    return weft_fail(job, "interrupted");
}

static int wakes_and_succeeds(struct weft_job *job)
{
    EXPECT_EQUAL(weft_sleep_ms(60000), -ECANCELED);
    return weft_result(job, "{}");
}

static void a_cancelled_job_cleans_up_and_is_cancelled_whatever_it_says(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"sleeps", sleeps_and_cleans_up}}, .stop = runner_cancel, .name = "job-1"});
    assert_string_equal(trace, "cleaned up");
    assert_int_equal(told.outcome, JOB_CANCELLED);
    assert_string_equal(told.error, "cancelled");
}

static void a_cancelled_job_that_succeeds_is_done(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"wakes", wakes_and_succeeds}}, .stop = runner_cancel, .name = "job-1"});
    assert_int_equal(told.outcome, JOB_DONE);
    assert_string_equal(told.result, "{}");
}

static int subtask(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_sleep_ms(60000), -ECANCELED);
    note("subtask");
    return -ECANCELED;
}

static int callback(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_sleep_ms(60000), -ECANCELED);
    note("elsewhere");
    return -ECANCELED;
}

/* The chain waits in a context that is not the job's. */
static int spawns_and_leaves(struct weft_job *job)
{
    (void)job;
    EXPECT(weft_spawn("subtask", subtask, NULL) != NULL);
    return weft_run_in(NULL, callback, NULL);
}

static void a_cancelled_jobs_subtasks_are_stopped_too(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"spawns", spawns_and_leaves}}, .stop = runner_cancel, .name = "job-1"});
    assert_non_null(strstr(trace, "subtask"));
    assert_non_null(strstr(trace, "elsewhere"));
    assert_int_equal(told.outcome, JOB_CANCELLED);
}

static void a_lost_job_is_not_ours_to_tell_of_even_if_it_succeeds(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"sleeps", sleeps_and_cleans_up}}, .stop = runner_lose, .name = "1-0"});
    assert_int_equal(told.outcome, JOB_RETURNED);
    assert_true(told.lost);
    assert_string_equal(told.error, "");
    run_job(&(struct run){.handlers = {{"wakes", wakes_and_succeeds}}, .stop = runner_lose, .name = "1-0"});
    assert_int_equal(told.outcome, JOB_RETURNED);
    assert_true(told.lost);
}

static bool cancel_at_a_shutdown(struct runner *runner, const char *queue, const char *name)
{
    runner_shut_down(runner);
    return runner_cancel(runner, queue, name);
}

static void a_job_that_is_cancelled_at_a_shutdown_does_not_come_back(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"sleeps", sleeps}}, .stop = cancel_at_a_shutdown, .name = "job-1"});
    assert_int_equal(told.outcome, JOB_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(handlers_run_in_order_and_see_what_earlier_ones_set),
        EXPECT_TEST(a_job_that_fails_for_good_is_dead_with_its_reason),
        EXPECT_TEST(an_errno_is_retried_by_the_policy),
        EXPECT_TEST(the_last_attempt_is_not_retried),
        EXPECT_TEST(a_handler_chooses_the_delay_of_its_retry),
        EXPECT_TEST(a_positive_result_is_a_mistake_that_is_explained),
        EXPECT_TEST(middleware_runs_the_rest_inside_its_scope_and_only_once),
        EXPECT_TEST(middleware_may_swallow_a_failure_but_skipped_handlers_stay_skipped),
        EXPECT_TEST(a_swallowed_failure_does_not_decide_a_later_one),
        EXPECT_TEST(a_job_that_takes_too_long_is_woken_and_retried),
        EXPECT_TEST(a_shutdown_returns_what_it_interrupts),
        EXPECT_TEST(a_cancelled_job_cleans_up_and_is_cancelled_whatever_it_says),
        EXPECT_TEST(a_cancelled_job_that_succeeds_is_done),
        EXPECT_TEST(a_cancelled_jobs_subtasks_are_stopped_too),
        EXPECT_TEST(a_lost_job_is_not_ours_to_tell_of_even_if_it_succeeds),
        EXPECT_TEST(a_job_that_is_cancelled_at_a_shutdown_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
