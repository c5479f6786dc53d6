/* Ends without a signal that could be caught: exit(), _exit(), SIGKILL, and those that are meant. */
#include <errno.h>

#include "daemon/crash/crash_read.h"
#include "tests/support/crash_support.h"

static int exits(struct weft_job *job)
{
    (void)job;
    exit(3);
}

static void exit_called_by_a_handler_is_noted(void **state)
{
    (void)state;
    IN_JOB("quits", exits);
    assert_string_equal(reason(), "called exit(3) in handler quits");
    assert_string_equal(culprit(), "job-1");
    assert_true(WIFEXITED(remains.status));
    assert_int_equal(WEXITSTATUS(remains.status), 3);
}

static int exits_at_once(struct weft_job *job)
{
    (void)job;
    _exit(4);
}

static void the_running_job_tells_who_called_underscore_exit(void **state)
{
    (void)state;
    IN_JOB("quits", exits_at_once);
    assert_string_equal(reason(), "called _exit(4)");
    assert_string_equal(culprit(), "job-1");
}

static int is_killed(struct weft_job *job)
{
    (void)job;
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static void the_running_job_tells_who_was_running_when_sigkill_came(void **state)
{
    (void)state;
    IN_JOB("eats", is_killed);
    assert_string_equal(reason(), "killed by SIGKILL");
    assert_string_equal(culprit(), "job-1");
}

static int does_nothing(struct weft_job *job)
{
    (void)job;
    return 0;
}

static void a_clean_end_leaves_nothing(void **state)
{
    struct crash crash;

    (void)state;
    IN_JOB("works", does_nothing);
    assert_int_equal(crash_read(remains.record, &crash), -ENOENT);
    assert_string_equal(culprit(), "nobody");
    assert_int_equal(remains.status, 0);
}

static int forks(struct weft_job *job)
{
    int exited, crashed;

    (void)job;
    pid_t one = fork();
    if (one == 0)
        exit(5);
    (void)waitpid(one, &exited, 0);
    pid_t other = fork();
    if (other == 0)
        abort();
    (void)waitpid(other, &crashed, 0);
    if (!WIFEXITED(exited) || WEXITSTATUS(exited) != 5 || !WIFSIGNALED(crashed) || WTERMSIG(crashed) != SIGABRT)
        _exit(93);
    return 0;
}

static void what_a_handler_has_forked_notes_nothing(void **state)
{
    struct crash crash;

    (void)state;
    IN_JOB("forks", forks);
    assert_int_equal(crash_read(remains.record, &crash), -ENOENT);
    assert_int_equal(remains.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_called_by_a_handler_is_noted),
        cmocka_unit_test(the_running_job_tells_who_called_underscore_exit),
        cmocka_unit_test(the_running_job_tells_who_was_running_when_sigkill_came),
        cmocka_unit_test(a_clean_end_leaves_nothing),
        cmocka_unit_test(what_a_handler_has_forked_notes_nothing),
    };

    return cmocka_run_group_tests_name("crash_end", tests, NULL, NULL);
}
