/* Crashes in earnest: what killed the process, in which handler, and which job is the culprit. */
#include <errno.h>
#include <sched.h>

#include "context/current.h"
#include "tests/support/crash_support.h"
#include "tests/support/mischief.h"

/* ---- Signals ---- */

static int touches(struct weft_job *job)
{
    (void)job;
    return read_nowhere();
}

static void a_bad_pointer_names_signal_address_handler_and_job(void **state)
{
    (void)state;
    IN_JOB("load_profile", touches);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10 in handler load_profile");
    assert_string_equal(culprit(), "job-1");
    assert_true(was_killed_by(SIGSEGV));
}

static int aborts(struct weft_job *job)
{
    (void)job;
    abort();
}

static void an_abort_is_told_as_such(void **state)
{
    (void)state;
    IN_JOB("gives_up", aborts);
    assert_string_equal(reason(), "killed by SIGABRT in handler gives_up");
    assert_string_equal(culprit(), "job-1");
    assert_true(was_killed_by(SIGABRT));
}

#if defined(__x86_64__)
static int divides(struct weft_job *job)
{
    (void)job;
    return divide_by_zero();
}

static void a_division_by_zero_is_told_as_such(void **state)
{
    (void)state;
    IN_JOB("share_out", divides);
    assert_string_equal(reason(), "killed by SIGFPE (division by zero) in handler share_out");
    assert_string_equal(culprit(), "job-1");
    assert_true(was_killed_by(SIGFPE));
}
#endif

static int traps(struct weft_job *job)
{
    (void)job;
    (void)raise(SIGTRAP);
    return 0;
}

static void a_signal_that_nothing_would_bring_on_again_ends_the_process_too(void **state)
{
    (void)state;
    IN_JOB("traps", traps);
    assert_string_equal(reason(), "killed by SIGTRAP in handler traps");
    assert_true(was_killed_by(SIGTRAP));
}

static int recurses(struct weft_job *job)
{
    (void)job;
    return recurse("");
}

static void a_recursion_without_end_is_told_as_a_stack_overflow(void **state)
{
    (void)state;
    IN_JOB("recurse", recurses);
    assert_string_equal(reason(), "stack overflow in handler recurse (a fiber's stack is 256 KiB)");
    assert_string_equal(culprit(), "job-1");
    assert_true(was_killed_by(SIGSEGV));
}

/* The supervisor, or somebody with a shell. */
static int is_stopped(struct weft_job *job)
{
    (void)job;
    pid_t worker = getpid();
    pid_t other = fork();

    if (other == 0)
        _exit(kill(worker, SIGABRT));
    for (;;)
        (void)sched_yield();
}

static void a_worker_that_is_stopped_says_in_which_handler_and_why(void **state)
{
    char sender[32];

    (void)state;
    IN_JOB("spins", is_stopped);
    assert_string_equal(reason_because("it stood still for 30 s"),
                        "stopped by the supervisor in handler spins: it stood still for 30 s");
    (void)snprintf(sender, sizeof(sender), "sent by process %d ", (int)remains.record->crash.sender);
    assert_non_null(strstr(reason(), sender));
    assert_string_equal(culprit(), "job-1");
}

/* ---- Where ---- */

static int fails_asynchronously(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1) < 0 ? -errno : read_nowhere();
}

static int spawns(struct weft_job *job)
{
    (void)job;
    return weft_spawn("audit", fails_asynchronously, NULL) ? 0 : -errno;
}

static void a_subtask_is_told_with_the_handler_that_started_it(void **state)
{
    (void)state;
    IN_JOB("load_profile", spawns);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10 in subtask audit of handler load_profile");
    assert_string_equal(culprit(), "job-1");
    assert_int_equal(job_slot_state(&remains.job_slots, 0), JOB_SLOT_ENDED);
}

static int touch_in_thread(void *arg)
{
    (void)arg;
    return read_nowhere();
}

static int offloads(struct weft_job *job)
{
    int result;

    (void)job;
    return weft_offload(touch_in_thread, NULL, &result);
}

static void a_thread_of_the_pool_crashes_for_the_job_that_it_works_for(void **state)
{
    (void)state;
    IN_JOB("resize", offloads);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10 in handler resize");
    assert_string_equal(culprit(), "job-1");
    assert_true(remains.record->crash.thread != remains.record->crash.process);
    assert_true(was_killed_by(SIGSEGV));
}

static void touch_in_callback(void *arg)
{
    (void)arg;
    (void)read_nowhere();
}

static int schedules(struct weft_job *job)
{
    (void)job;
    return weft_call_later(1, touch_in_callback, NULL);
}

static void a_callback_crashes_for_the_job_that_scheduled_it(void **state)
{
    (void)state;
    IN_JOB("schedule", schedules);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10 in handler schedule");
    assert_string_equal(culprit(), "job-1");
}

static int leaves_context(struct weft_job *job)
{
    (void)job;
    return weft_exit(touch_in_thread, NULL);
}

static void code_that_left_its_context_is_still_its_jobs(void **state)
{
    (void)state;
    IN_JOB("leaves", leaves_context);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10");
    assert_string_equal(culprit(), "job-1");
}

static int leaves_pointer(struct weft_job *job)
{
    return weft_set_pointer("connection", job, touch_in_callback);
}

static void what_is_released_with_a_job_is_still_the_jobs(void **state)
{
    (void)state;
    IN_JOB("leaves", leaves_pointer);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10");
    assert_string_equal(culprit(), "job-1");
}

static int does_nothing(struct weft_job *job)
{
    (void)job;
    return 0;
}

static void crash_after_the_job(const void *arg)
{
    crash_support_work(arg);
    (void)read_nowhere();
}

static void a_crash_outside_of_any_job_has_no_culprit(void **state)
{
    (void)state;
    in_child(crash_after_the_job, &(struct weft_handler){.name = "innocent", .run = does_nothing});
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10");
    assert_string_equal(culprit(), "nobody");
    assert_int_equal(job_slot_state(&remains.job_slots, 0), JOB_SLOT_FREE);
}

/* ---- In the handler of signals ---- */

/* The context that the handler will look at is not there. */
static int breaks_context(struct weft_job *job)
{
    (void)job;
    current_state.context = (struct weft_context *)mischief_address;
    return read_nowhere();
}

static void a_fault_while_the_crash_is_noted_ends_that_step_only(void **state)
{
    (void)state;
    IN_JOB("breaks", breaks_context);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10");
    assert_true(remains.record->crash.frame_count > 1);
    assert_true(was_killed_by(SIGSEGV));
}

static void note_and_leave(int number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(number == SIGSEGV && info->si_code == SEGV_MAPERR && info->si_addr == (void *)mischief_address ? 42 : 43);
}

static void install_over_another(const void *arg)
{
    struct sigaction action = {.sa_sigaction = note_and_leave, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    (void)sigaction(SIGSEGV, &action, NULL);
    if (crash_install(remains.record) == 0)
        crash_support_work(arg);
}

static void the_handler_that_was_there_before_gets_the_same_signal(void **state)
{
    (void)state;
    in_child(install_over_another, &(struct weft_handler){.name = "load_profile", .run = touches});
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x10 in handler load_profile");
    assert_true(WIFEXITED(remains.status));
    assert_int_equal(WEXITSTATUS(remains.status), 42);
}

static int crashes_twice(struct weft_job *job)
{
    int result;

    (void)job;
    (void)weft_spawn("other", fails_asynchronously, NULL);
    return weft_offload(touch_in_thread, NULL, &result);
}

static void of_two_threads_that_crash_at_once_one_is_told(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        IN_JOB("twice", crashes_twice);
        assert_non_null(strstr(reason(), "killed by SIGSEGV at address 0x10 in "));
        assert_string_equal(culprit(), "job-1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_pointer_names_signal_address_handler_and_job),
        cmocka_unit_test(an_abort_is_told_as_such),
#if defined(__x86_64__)
        cmocka_unit_test(a_division_by_zero_is_told_as_such),
#endif
        cmocka_unit_test(a_signal_that_nothing_would_bring_on_again_ends_the_process_too),
        cmocka_unit_test(a_recursion_without_end_is_told_as_a_stack_overflow),
        cmocka_unit_test(a_worker_that_is_stopped_says_in_which_handler_and_why),
        cmocka_unit_test(a_subtask_is_told_with_the_handler_that_started_it),
        cmocka_unit_test(a_thread_of_the_pool_crashes_for_the_job_that_it_works_for),
        cmocka_unit_test(a_callback_crashes_for_the_job_that_scheduled_it),
        cmocka_unit_test(code_that_left_its_context_is_still_its_jobs),
        cmocka_unit_test(what_is_released_with_a_job_is_still_the_jobs),
        cmocka_unit_test(a_crash_outside_of_any_job_has_no_culprit),
        cmocka_unit_test(a_fault_while_the_crash_is_noted_ends_that_step_only),
        cmocka_unit_test(the_handler_that_was_there_before_gets_the_same_signal),
        cmocka_unit_test(of_two_threads_that_crash_at_once_one_is_told),
    };

    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
