/* Failures away from the chain: an error code that a callback would lose, and a job that a subtask fails. */
#include "context/log/log.h"
#include "tests/support/runner_support.h"

/* The last line that was logged: its message, its job, and its fields. */
static char line[1024];

static void take_line(const struct log_record *record, void *user)
{
    int used = snprintf(line, sizeof(line), "%s %.*s: %s", log_level_name(record->level), (int)record->message_size,
                        record->message, record->label_count > 0 ? record->labels[0].text : "-");

    (void)user;
    for (size_t i = 0; i < record->field_count; i++)
        used += snprintf(line + used, sizeof(line) - (size_t)used, ", %s=%s", record->fields[i].name,
                         record->fields[i].text);
}

static void run_logged(const struct run *run)
{
    static const struct log_label labels[] = {{.key = "job_id", .name = "weft.job_id"}};

    line[0] = '\0';
    log_configure(&(struct log_options){.level = WEFT_DEBUG, .labels = labels, .label_count = 1, .sink = take_line});
    run_job(run);
    log_configure(&(struct log_options){.level = WEFT_INFO});
}

#define RUN_LOGGED(...) run_logged(&(struct run){.handlers = {__VA_ARGS__}})

static void expect_line(const char *begin, const char *end)
{
    size_t size = strlen(line), end_size = strlen(end);

    EXPECT_EQUAL(strncmp(line, begin, strlen(begin)), 0);
    EXPECT(size > end_size);
    EXPECT_TEXT(line + size - end_size, end);
}

/* ---- Callbacks ---- */

static void complain(void *arg)
{
    (void)arg;
    errno = ERANGE;
    weft_report_error(-EIO, "order %d", 7);
    EXPECT_EQUAL(errno, ERANGE);
}

static int loses(struct weft_job *job)
{
    (void)job;
    int r = weft_call_soon(complain, NULL);
    return r < 0 ? r : weft_sleep_ms(20);
}

static void an_error_of_a_callback_is_logged_with_its_job_and_counted(void **state)
{
    (void)state;
    RUN_LOGGED({"loses", loses});
    expect_line("error callback failed: job-1, error=order 7: Input/output error, stack=call at ",
                ", started by job test");
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.late_failed, 0);
    assert_int_equal(told.outcome, JOB_DONE);
}

static int loses_late(struct weft_job *job)
{
    (void)job;
    return weft_call_later(20, complain, NULL);
}

static void one_that_comes_after_the_report_is_told_as_late(void **state)
{
    (void)state;
    RUN_LOGGED({"loses_late", loses_late});
    assert_int_equal(told.failed, 0);
    assert_int_equal(told.late_failed, 1);
    assert_int_equal(told.late_subtasks, 0);
}

static int complain_in_thread(void *arg)
{
    (void)arg;
    weft_report_error(ENOSPC, "disc");
    return 0;
}

static int loses_in_thread(struct weft_job *job)
{
    (void)job;
    return weft_offload(complain_in_thread, NULL, NULL);
}

static void on_another_thread_it_is_logged(void **state)
{
    (void)state;
    RUN_LOGGED({"loses_in_thread", loses_in_thread});
    assert_int_equal(strncmp(line, "error callback failed: job-1, error=disc: No space left on device", 65), 0);
    assert_int_equal(told.failed + told.late_failed, 0);
}

static int says_no_error(struct weft_job *job)
{
    (void)job;
    weft_report_error(0, "%s", "odd\nnumber");
    return 0;
}

static void without_an_error_the_words_stand_alone(void **state)
{
    (void)state;
    RUN_LOGGED({"says_no_error", says_no_error});
    assert_string_equal(line, "error callback failed: job-1, error=odd\nnumber, stack=job test");
}

static void outside_of_every_job_it_is_a_line_without_a_job(void **state)
{
    (void)state;
    log_configure(&(struct log_options){.level = WEFT_DEBUG, .sink = take_line});
    weft_report_error(-EIO, "order %d", 7);
    log_configure(&(struct log_options){.level = WEFT_INFO});
    assert_string_equal(line, "error callback failed: -, error=order 7: Input/output error");
}

/* ---- Jobs ---- */

static int judge(void *job)
{
    return weft_fail(job, "refused");
}

static int delegates(struct weft_job *job)
{
    int result = 0;
    int r = weft_join(weft_spawn("judge", judge, job), &result);

    return r < 0 ? r : result;
}

static void a_job_that_a_subtask_fails_is_told_with_what_led_there(void **state)
{
    (void)state;
    RUN_LOGGED({"delegates", delegates});
    assert_int_equal(told.outcome, JOB_DEAD);
    assert_string_equal(told.error, "refused");
    assert_int_equal(strncmp(told.stack, "task judge at ", 14), 0);
    assert_non_null(strstr(told.stack, ", started by job test"));
}

static int refuses(struct weft_job *job)
{
    return weft_fail(job, "no");
}

static int takes_it_back(struct weft_job *job)
{
    (void)delegates(job);
    return refuses(job);
}

static int gets_over_it(struct weft_job *job)
{
    (void)delegates(job);
    return 0;
}

static int breaks(struct weft_job *job)
{
    (void)job;
    return -EIO;
}

static void a_failure_of_the_chain_itself_has_no_stack(void **state)
{
    (void)state;
    RUN_LOGGED({"refuses", refuses});
    assert_string_equal(told.stack, "");
    RUN_LOGGED({"takes_it_back", takes_it_back});
    assert_string_equal(told.error, "no");
    assert_string_equal(told.stack, "");
    RUN_LOGGED({"gets_over_it", gets_over_it}, {"breaks", breaks});
    assert_string_equal(told.error, "breaks: Input/output error");
    assert_string_equal(told.stack, "");
}

static void judge_late(void *job)
{
    (void)weft_fail(job, "too late");
}

static int is_judged_late(struct weft_job *job)
{
    return weft_call_later(20, judge_late, job);
}

static void failing_a_job_that_has_ended_does_nothing(void **state)
{
    (void)state;
    RUN_LOGGED({"is_judged_late", is_judged_late});
    assert_int_equal(told.outcome, JOB_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(an_error_of_a_callback_is_logged_with_its_job_and_counted),
        EXPECT_TEST(one_that_comes_after_the_report_is_told_as_late),
        EXPECT_TEST(on_another_thread_it_is_logged),
        EXPECT_TEST(without_an_error_the_words_stand_alone),
        EXPECT_TEST(outside_of_every_job_it_is_a_line_without_a_job),
        EXPECT_TEST(a_job_that_a_subtask_fails_is_told_with_what_led_there),
        EXPECT_TEST(a_failure_of_the_chain_itself_has_no_stack),
        EXPECT_TEST(failing_a_job_that_has_ended_does_nothing),
    };

    return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
