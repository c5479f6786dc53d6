/* What a handler has of its job: words about it, memory, deferred functions, subtasks, children. */
#include "tests/support/runner_support.h"

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

static int defers_late(void *job)
{
    int r = weft_sleep_ms(20);

    EXPECT_EQUAL(weft_defer(job, note_deferred, weft_strdup(job, "late")), 0);
    return r;
}

static int spawns_what_defers_late(struct weft_job *job)
{
    return weft_spawn("late", defers_late, job) ? 0 : -errno;
}

static void what_a_subtask_defers_after_the_chain_is_not_called(void **state)
{
    (void)state;
    RUN({"spawns", spawns_what_defers_late});
    assert_int_equal(told.outcome, JOB_DONE);
    assert_string_equal(trace, "");
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
    options.metadata = (const char *const[]){"weft.id", "forged", NULL};
    EXPECT_EQUAL(weft_enqueue("child", NULL, 0, &options, NULL), -EINVAL);
    options.metadata = (const char *const[]){"delay", "1h", NULL};
    EXPECT_EQUAL(weft_enqueue("child", NULL, 0, &options, NULL), -EINVAL);
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
        EXPECT_TEST(deferred_functions_run_last_first_also_after_a_failure),
        EXPECT_TEST(what_a_subtask_defers_after_the_chain_is_not_called),
        EXPECT_TEST(subtasks_are_counted_also_when_they_are_late),
        EXPECT_TEST(a_handler_finds_its_job_and_what_metadata_cannot_forge),
        EXPECT_TEST(a_child_job_gets_family_and_metadata_as_the_context_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
