/* Chains of types that block: they run on a thread, and one that does not return is given up. */
#include <unistd.h>

#include "tests/support/runner_support.h"

#include "context/task/offload.h"

static int first(struct weft_job *job)
{
    EXPECT(weft_task_current() == NULL);
    EXPECT(offload_is_here());
    EXPECT(weft_job_current() == job);
    EXPECT_EQUAL(weft_sleep_ms(1), -EDEADLK);
    EXPECT(weft_deadline_ms() > 0);
    note("first");
    return weft_set("who", "first");
}

static int second(struct weft_job *job)
{
    EXPECT_TEXT(weft_get("who"), "first");
    EXPECT_TEXT(weft_get("user"), "ada");
    return weft_result(job, "{}");
}

static int wraps(struct weft_job *job)
{
    note("before");
    int r = weft_next(job);
    note("after");
    EXPECT_EQUAL(weft_next(job), -EALREADY);
    return r;
}

static void note_deferred(void *arg)
{
    EXPECT(offload_is_here());
    note(arg);
}

static int defers(struct weft_job *job)
{
    EXPECT_EQUAL(weft_defer(job, note_deferred, weft_strdup(job, "deferred")), 0);
    return weft_retry(job, 1234, "the shop is closed");
}

static void a_blocking_chain_runs_on_a_thread_in_the_jobs_context(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"wraps", wraps}, {"first", first}, {"second", second}}, .blocking = true});
    assert_string_equal(trace, "before first after");
    assert_int_equal(told.outcome, JOB_DONE);
    assert_string_equal(told.result, "{}");
}

static void what_a_blocking_chain_has_deferred_runs_on_its_thread(void **state)
{
    (void)state;
    run_job(&(struct run){.handlers = {{"defers", defers}}, .blocking = true});
    assert_string_equal(trace, "deferred");
    assert_int_equal(told.outcome, JOB_RETRY);
    assert_int_equal(told.retry_ms, 1234);
    assert_string_equal(told.error, "the shop is closed");
}

static int next_on_thread(void *job)
{
    EXPECT_EQUAL(weft_next(job), -EDEADLK);
    EXPECT_EQUAL(weft_result(job, "of the thread"), 0);
    return 0;
}

static int offloads(struct weft_job *job)
{
    return weft_offload(next_on_thread, job, NULL);
}

static void a_function_on_a_thread_may_set_the_result_but_not_run_the_chain(void **state)
{
    (void)state;
    RUN({"offloads", offloads});
    assert_int_equal(told.outcome, JOB_DONE);
    assert_string_equal(told.result, "of the thread");
}

/* ---- Time-outs ---- */

static int polls(struct weft_job *job)
{
    (void)job;
    while (!weft_is_cancelled())
        (void)usleep(1000);
    EXPECT_EQUAL(weft_deadline_ms(), 0);
    return -ETIME;
}

static void a_call_that_heeds_its_time_out_is_not_given_up(void **state)
{
    (void)state;
    stuck = 0;
    run_job(&(struct run){.handlers = {{"polls", polls}}, .timeout_ms = 20, .attempt = 3, .blocking = true});
    assert_int_equal(told.outcome, JOB_DEAD);
    assert_string_equal(told.error, "timed out after 20 ms");
    assert_int_equal(stuck, 0);
}

static int outlasts(void *arg)
{
    (void)arg;
    for (int i = 0; i < 40; i++)
        (void)usleep(100000);
    return 0;
}

static int outlasts_and_sets(struct weft_job *job)
{
    (void)outlasts(NULL);
    EXPECT_EQUAL(weft_result(job, "too late"), 0);
    return weft_fail(job, "too late");
}

static int outlasts_in_pool(struct weft_job *job)
{
    EXPECT_EQUAL(weft_offload(outlasts, NULL, NULL), -ETIME);
    return weft_result(job, "too late");
}

/* run_job() sees that it ends once. */
static void expect_given_up(const struct run *run)
{
    stuck = unstuck = 0;
    run_job(run);
    assert_int_equal(stuck, 1);
    assert_int_equal(unstuck, 1);
    assert_true(stuck_frames > 0);
    assert_int_equal(told.outcome, JOB_DEAD);
    assert_string_equal(told.error, "timed out after 20 ms, in a call that did not return");
    assert_string_equal(told.result, "");
}

static void a_chain_that_outlasts_its_time_out_is_given_up_and_what_it_sets_is_ignored(void **state)
{
    (void)state;
    expect_given_up(
        &(struct run){.handlers = {{"outlasts", outlasts_and_sets}}, .timeout_ms = 20, .attempt = 3, .blocking = true});
}

static void an_offloaded_call_that_outlasts_the_jobs_time_out_is_given_up(void **state)
{
    (void)state;
    expect_given_up(&(struct run){.handlers = {{"outlasts", outlasts_in_pool}}, .timeout_ms = 20, .attempt = 3});
}

/* ---- Subtasks ---- */

static int outlasts_in_subtask(void *arg)
{
    (void)arg;
    return weft_offload(outlasts, NULL, NULL);
}

static int heeds(void *arg)
{
    (void)arg;
    while (!weft_is_cancelled())
        (void)usleep(1000);
    return 0;
}

static int heeds_in_subtask(void *arg)
{
    (void)arg;
    return weft_offload(heeds, NULL, NULL);
}

/* Its subtask is in its call by then. */
static int shuts_down_with_subtask(struct weft_job *job, int (*subtask)(void *arg))
{
    struct weft_task *task = weft_spawn("subtask", subtask, NULL);

    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(task && offload_is_under_way(task));
    runner_shut_down(job->runner);
    return weft_join(task, NULL);
}

static int shuts_down(struct weft_job *job)
{
    return shuts_down_with_subtask(job, outlasts_in_subtask);
}

static int shuts_down_what_heeds(struct weft_job *job)
{
    return shuts_down_with_subtask(job, heeds_in_subtask);
}

static int cancels_itself(struct weft_job *job)
{
    struct weft_task *task = weft_spawn("subtask", outlasts_in_subtask, NULL);

    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(runner_cancel(job->runner, "default", "job-1"));
    return weft_join(task, NULL);
}

static void expect_of_subtask(const struct weft_handler *handler, int given_up, enum job_outcome outcome)
{
    stuck = unstuck = 0;
    stuck_frames = 0;
    run_job(&(struct run){.handlers = {*handler}});
    assert_int_equal(stuck, given_up);
    assert_int_equal(unstuck, given_up);
    assert_int_equal(stuck_frames > 0, given_up > 0);
    assert_int_equal(told.outcome, outcome);
}

static void a_subtasks_call_that_outlasts_a_shutdown_is_given_up(void **state)
{
    (void)state;
    expect_of_subtask(&(struct weft_handler){"shuts_down", shuts_down}, 1, JOB_RETURNED);
}

static void a_subtasks_call_that_heeds_a_shutdown_is_not_given_up(void **state)
{
    (void)state;
    expect_of_subtask(&(struct weft_handler){"shuts_down", shuts_down_what_heeds}, 0, JOB_RETURNED);
}

static void a_subtasks_call_is_given_up_with_its_cancelled_job(void **state)
{
    (void)state;
    expect_of_subtask(&(struct weft_handler){"cancels", cancels_itself}, 1, JOB_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_blocking_chain_runs_on_a_thread_in_the_jobs_context),
        EXPECT_TEST(what_a_blocking_chain_has_deferred_runs_on_its_thread),
        EXPECT_TEST(a_function_on_a_thread_may_set_the_result_but_not_run_the_chain),
        EXPECT_TEST(a_call_that_heeds_its_time_out_is_not_given_up),
        EXPECT_TEST(a_chain_that_outlasts_its_time_out_is_given_up_and_what_it_sets_is_ignored),
        EXPECT_TEST(an_offloaded_call_that_outlasts_the_jobs_time_out_is_given_up),
        EXPECT_TEST(a_subtasks_call_that_outlasts_a_shutdown_is_given_up),
        EXPECT_TEST(a_subtasks_call_that_heeds_a_shutdown_is_not_given_up),
        EXPECT_TEST(a_subtasks_call_is_given_up_with_its_cancelled_job),
    };

    return cmocka_run_group_tests_name("runner_blocking", tests, NULL, NULL);
}
