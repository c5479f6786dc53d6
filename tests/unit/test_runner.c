/* Chains, verdicts, middleware, subtasks, job memory: the runner on a real loop, without Redis. */
#include "tests/support/expect.h"

#include <stdlib.h>

#include "context/task.h"
#include "handlers/runner.h"

/* ---- What the runner tells ---- */

struct told {
    enum job_outcome outcome;
    char error[128];
    char result[128];
    int64_t retry_ms;
    unsigned subtasks;
    unsigned failed;
    unsigned late_subtasks;
    unsigned late_failed;
    int ended;
};

static struct told told;

/* What handlers did, in order. */
static char trace[512];

static void note(const char *text)
{
    size_t size = strlen(trace);

    (void)snprintf(trace + size, sizeof(trace) - size, "%s%s", size ? " " : "", text);
}

static void on_started(struct weft_job *job, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
}

static void on_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
    told.ended++;
    told.outcome = outcome->outcome;
    told.retry_ms = outcome->retry_ms;
    told.subtasks = job->subtasks;
    told.failed = job->subtasks_failed;
    (void)snprintf(told.error, sizeof(told.error), "%s", outcome->error ? outcome->error : "");
    (void)snprintf(told.result, sizeof(told.result), "%s", job->result ? job->result : "");
}

static void on_subtask_started(struct weft_job *job, struct weft_task *task, void *user)
{
    (void)task;
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
}

static void on_subtask_ended(struct weft_job *job, struct weft_task *task, int result, void *user)
{
    (void)result;
    on_subtask_started(job, task, user);
}

static void on_late(struct weft_job *job, unsigned subtasks, unsigned failed, void *user)
{
    (void)job;
    (void)user;
    told.late_subtasks += subtasks;
    told.late_failed += failed;
}

static void on_progress(struct weft_job *job, void *user)
{
    (void)user;
    note(job->progress);
}

/* The last message that was enqueued, as text. */
static char enqueued[512];

static int on_enqueue(const char *queue, const struct job_field *fields, size_t count,
                      void (*done)(int result, const char *text, void *arg), void *arg, void *user)
{
    (void)user;
    size_t size = (size_t)snprintf(enqueued, sizeof(enqueued), "%s:", queue);
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(enqueued + size, sizeof(enqueued) - size, " %s=%s", fields[i].name, fields[i].value);
    done(0, "77-0", arg);
    return 0;
}

static const struct runner_events events = {
    .started = on_started,
    .ended = on_ended,
    .subtask_started = on_subtask_started,
    .subtask_ended = on_subtask_ended,
    .late_subtasks = on_late,
    .progressed = on_progress,
    .enqueue = on_enqueue,
};

/* ---- Running one job ---- */

static const struct job_field metadata[] = {
    {.name = "user", .value = "ada", .size = 3},
    {.name = "weft.job_id", .value = "forged", .size = 6},
};

static struct job *new_record(unsigned attempt)
{
    struct job *record = calloc(1, sizeof(*record));

    assert_non_null(record);
    *record = (struct job){
        .id = "job-1",
        .type = "test",
        .queue = "default",
        .entry = "1-0",
        .root = "root-1",
        .payload = "body",
        .payload_size = 4,
        .metadata = metadata,
        .metadata_count = 2,
        .attempt = attempt,
    };
    return record;
}

struct run {
    struct weft_handler handlers[4];
    unsigned attempt;
    int64_t timeout_ms;
    bool shut_down;
};

static void run_job(const struct run *run)
{
    const struct weft_handler *chain[4];
    struct job_type type = {.name = "test", .chain = chain, .attempts = 3, .backoff = {.base_ms = 40, .max_ms = 1000}};
    struct event_base *base = event_base_new();
    struct weft_loop *loop;
    struct runner runner;

    for (; type.chain_size < 4 && run->handlers[type.chain_size].run; type.chain_size++)
        chain[type.chain_size] = &run->handlers[type.chain_size];
    type.timeout_ms = run->timeout_ms ? run->timeout_ms : 60000;
    told = (struct told){0};
    trace[0] = '\0';
    assert_int_equal(weft_loop_new(base, &loop), 0);
    runner_init(&runner, loop, &events, NULL);
    assert_int_equal(runner_start(&runner, new_record(run->attempt ? run->attempt : 1), &type), 0);
    if (run->shut_down) {
        (void)event_base_loop(base, EVLOOP_ONCE);
        runner_shut_down(&runner);
    }
    (void)event_base_dispatch(base);
    (void)weft_loop_free(loop);
    event_base_free(base);
    assert_int_equal(told.ended, 1);
    assert_int_equal(runner_jobs_alive(), 0);
}

#define RUN(...) run_job(&(struct run){.handlers = {__VA_ARGS__}})

/* ---- Handlers ---- */

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

/* ---- Tests ---- */

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

static void note_deferred(void *text)
{
    note(text);
}

static int defers(struct weft_job *job)
{
    if (weft_defer(job, note_deferred, weft_strdup(job, "one")) < 0 ||
        weft_defer(job, note_deferred, weft_printf(job, "t%so", "w")) < 0)
        return -ENOMEM;
    note("body");
    return -EIO;
}

static void deferred_functions_run_last_first_also_after_a_failure(void **state)
{
    (void)state;
    RUN({"defers", defers});
    assert_string_equal(trace, "body two one");
}

static int good(void *arg)
{
    (void)arg;
    return 0;
}

static int late_and_bad(void *memory)
{
    int r = weft_sleep_ms(20);

    /* The job is over, its memory is not. */
    note(memory);
    (void)weft_spawn("grandchild", good, NULL);
    return r < 0 ? r : -EIO;
}

static int spawns(struct weft_job *job)
{
    (void)weft_spawn("good", good, NULL);
    (void)weft_spawn("late", late_and_bad, weft_strdup(job, "memory"));
    return 0;
}

static void subtasks_are_counted_also_when_they_are_late(void **state)
{
    (void)state;
    RUN({"spawns", spawns});
    assert_int_equal(told.outcome, JOB_DONE);
    assert_int_equal(told.subtasks, 2);
    assert_int_equal(told.failed, 0);
    assert_int_equal(told.late_subtasks, 1);
    assert_int_equal(told.late_failed, 1);
    assert_string_equal(trace, "memory");
}

static int speaks_of_itself(struct weft_job *job)
{
    size_t size;

    EXPECT_TEXT(weft_job_id(job), "job-1");
    EXPECT_TEXT(weft_job_type(job), "test");
    EXPECT_TEXT(weft_job_root(job), "root-1");
    EXPECT(weft_job_parent(job) == NULL);
    EXPECT_TEXT(weft_job_payload(job, &size), "body");
    EXPECT_EQUAL(size, 4);
    EXPECT_EQUAL(weft_job_attempt(job), 1);
    EXPECT(weft_job_current() == job);
    EXPECT_EQUAL(weft_progress(job, "%d%%", 40), 0);
    EXPECT_EQUAL(weft_result_bytes(job, "", 2 * 1024 * 1024), -E2BIG);
    return 0;
}

static void a_handler_finds_its_job_and_what_metadata_cannot_forge(void **state)
{
    (void)state;
    RUN({"speaks", speaks_of_itself});
    assert_string_equal(trace, "40%");
    assert_int_equal(told.outcome, JOB_DONE);
}

static int enqueues(struct weft_job *job)
{
    const char *const more[] = {"extra", "1", NULL};
    struct weft_enqueue_options options = {.delay_ms = 1500, .attempts = 2, .metadata = more};
    char id[WEFT_ID_SIZE];

    (void)job;
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("user", "bob"), 0);
    EXPECT_EQUAL(weft_enqueue("child", "x", 1, &options, id), 0);
    EXPECT_TEXT(id, "77-0");
    EXPECT_EQUAL(weft_enqueue("not a type", NULL, 0, NULL, NULL), -EINVAL);
    return 0;
}

static void a_child_job_gets_family_and_metadata_as_the_context_has_it(void **state)
{
    (void)state;
    RUN({"enqueues", enqueues});
    assert_string_equal(enqueued, "default: type=child payload=x delay=1500ms attempts=2 parent=job-1 root=root-1 "
                                  "user=bob weft.job_id=job-1 extra=1");
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
        EXPECT_TEST(a_job_that_takes_too_long_is_woken_and_retried),
        EXPECT_TEST(a_shutdown_returns_what_it_interrupts),
        EXPECT_TEST(deferred_functions_run_last_first_also_after_a_failure),
        EXPECT_TEST(subtasks_are_counted_also_when_they_are_late),
        EXPECT_TEST(a_handler_finds_its_job_and_what_metadata_cannot_forge),
        EXPECT_TEST(a_child_job_gets_family_and_metadata_as_the_context_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
