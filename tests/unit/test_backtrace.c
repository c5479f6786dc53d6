/* Backtraces: functions named as their authors named them, and nothing that a record holds brings the reader down. */
#include <errno.h>
#include <sys/stat.h>

#include "context/time.h"
#include "daemon/crash/crash_read.h"
#include "daemon/crash/location.h"
#include "tests/support/crash_support.h"
#include "tests/support/mischief.h"

/* A frame as it is to be told: FUNCTION (FILE:LINE), where the line depends on the compiler. */
static void expect_frames(const char *text, const char *const *functions)
{
    for (; *functions; functions++) {
        size_t size = strcspn(text, " ");

        if (strncmp(text, *functions, size) != 0 || strlen(*functions) != size)
            fail_msg("\"%s\" does not begin with %s", text, *functions);
        text = strstr(text, " < ");
        if (functions[1])
            assert_non_null(text);
        text = text ? text + 3 : "";
    }
}

#define EXPECT_FRAMES(...) expect_frames(backtrace_text(), (const char *const[]){__VA_ARGS__, NULL})

__attribute__((noinline)) static int load_row(void)
{
    return read_nowhere() + mischief_zero;
}

static int load_profile(struct weft_job *job)
{
    return weft_job_id(job) ? load_row() + mischief_zero : 0;
}

static void static_functions_are_named_with_their_lines_innermost_first(void **state)
{
    (void)state;
    IN_JOB("load_profile", load_profile);
    EXPECT_FRAMES("read_nowhere", "load_row", "load_profile");
    assert_non_null(strstr(backtrace_text(), "load_row (test_backtrace.c:"));
    assert_non_null(strstr(backtrace_text(), "read_nowhere (mischief.h:"));
}

static void wefts_own_machinery_is_left_out(void **state)
{
    (void)state;
    IN_JOB("load_profile", load_profile);
    const char *text = backtrace_text();
    assert_null(strstr(text, "run_attempt"));
    assert_null(strstr(text, "run_function"));
    assert_null(strstr(text, "on_signal"));
    assert_null(strstr(strstr(text, "load_profile"), " < "));
}

static int audit(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1) + load_row();
}

static int spawns(struct weft_job *job)
{
    (void)job;
    return weft_spawn("audit", audit, NULL) ? 0 : -errno;
}

static int offloads(struct weft_job *job)
{
    int result;

    (void)job;
    return weft_offload(audit, NULL, &result);
}

static void subtasks_and_pool_threads_are_traced_on_their_own_stacks(void **state)
{
    (void)state;
    IN_JOB("spawns", spawns);
    EXPECT_FRAMES("read_nowhere", "load_row", "audit");
    IN_JOB("offloads", offloads);
    EXPECT_FRAMES("read_nowhere", "load_row", "audit");
    assert_null(strstr(strstr(backtrace_text(), "audit"), " < "));
}

static int recurses(struct weft_job *job)
{
    (void)job;
    return recurse("");
}

static void a_recursion_is_told_once_with_how_often(void **state)
{
    (void)state;
    IN_JOB("recurses", recurses);
    EXPECT_FRAMES("recurse");
    assert_non_null(strstr(backtrace_text(), " times"));
    assert_true(strlen(backtrace_text()) < 200);
}

static int calls_nothing(struct weft_job *job)
{
    (void)job;
    return call_nothing() + mischief_zero;
}

static void a_call_of_no_function_is_traced_to_its_caller(void **state)
{
    (void)state;
    IN_JOB("calls_nothing", calls_nothing);
    assert_string_equal(reason(), "killed by SIGSEGV at address 0x0 in handler calls_nothing");
#if defined(__x86_64__) || defined(__aarch64__)
    EXPECT_FRAMES("0x0", "call_nothing", "calls_nothing");
#endif
}

static int quits(struct weft_job *job)
{
    exit(weft_job_id(job) ? 3 : 4);
}

static int gives_up(struct weft_job *job)
{
    if (weft_job_id(job))
        abort();
    return 0;
}

static void exit_and_abort_are_traced_to_who_called_them(void **state)
{
    (void)state;
    IN_JOB("quits", quits);
    assert_non_null(strstr(backtrace_text(), "quits (test_backtrace.c:"));
    IN_JOB("gives_up", gives_up);
    assert_non_null(strstr(backtrace_text(), "gives_up (test_backtrace.c:"));
}

/* ---- How it came to that ---- */

static void fall(void *arg)
{
    (void)arg;
    (void)read_nowhere();
}

/* Whatever a function ends with is not to take its place. */
static void schedule_fall(void *arg)
{
    (void)arg;
    mischief_zero += weft_call_later(1, fall, NULL);
}

static int audit_soon(void *arg)
{
    (void)arg;
    return weft_call_soon(schedule_fall, NULL) + mischief_zero;
}

static int load_orders(struct weft_job *job)
{
    (void)job;
    return weft_spawn("audit", audit_soon, NULL) ? 0 : -errno;
}

/* What stands between two parts depends on the compiler: the line. */
static void expect_parts(const char *text, const char *const *parts)
{
    for (; *parts; parts++) {
        const char *found = strstr(text, *parts);

        if (!found)
            fail_msg("\"%s\" has no \"%s\"", text, *parts);
        text = found + strlen(*parts);
    }
}

#define EXPECT_PARTS(text_, ...) expect_parts((text_), (const char *const[]){__VA_ARGS__, NULL})

static void the_stack_names_each_operation_that_led_to_the_crash(void **state)
{
    (void)state;
    IN_JOB("load_orders", load_orders);
    assert_int_equal(strncmp(stack_text(), "call at schedule_fall (test_backtrace.c:", 40), 0);
    EXPECT_PARTS(stack_text(), "), started by call at audit_soon (test_backtrace.c:",
                 "), started by task audit at load_orders (test_backtrace.c:", "), started by job test");
    assert_int_equal(strcmp(strstr(stack_text(), "job test"), "job test"), 0);
}

static void a_handler_of_the_chain_was_led_to_by_the_job_only(void **state)
{
    (void)state;
    IN_JOB("load_profile", load_profile);
    assert_string_equal(stack_text(), "job test");
}

/* ---- Records that hold anything ---- */

static struct backtrace described;

static const char *frames_of(const struct crash *crash)
{
    backtrace_describe(crash, CRASH_SUPPORT_LIMIT_MS, &described);
    return described.frames;
}

/* A record as if of a crash here, whose parts are to be spoilt. */
static struct crash crash_here(void)
{
    struct crash crash = {.kind = CRASH_SIGNAL, .signal = SIGSEGV, .frame_count = 1, .exact_first = 1};

    crash.frames[0] = (uintptr_t)crash_here;
    module_map_note(&crash.modules);
    return crash;
}

static void a_file_that_is_gone_or_another_leaves_module_and_offset(void **state)
{
    struct crash crash = crash_here();
    char wanted[512];
    const struct module *program = &crash.modules.modules[0];

    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* too slow to read all the symbols in time */
    assert_non_null(strstr(frames_of(&crash), "crash_here ("));
    (void)snprintf(wanted, sizeof(wanted), "%s+0x%llx", module_name(program),
                   (unsigned long long)(crash.frames[0] - program->bias));
    if (program->build_id_size > 0) {
        crash.modules.modules[0].build_id[0] ^= 1;
        assert_string_equal(frames_of(&crash), wanted);
    }
    (void)strcpy(crash.modules.modules[0].path, "/nowhere/plugin.so");
    assert_non_null(strstr(frames_of(&crash), "plugin.so+0x"));
}

static void a_file_that_is_none_is_not_waited_for(void **state)
{
    struct crash crash = crash_here();
    char folder[] = "/tmp/weft-test-backtrace-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)strcpy(crash.modules.modules[0].path, path);
    int64_t began_ms = time_steady_ms();
    assert_non_null(strstr(frames_of(&crash), "pipe+0x"));
    assert_true(time_steady_ms() - began_ms < CRASH_SUPPORT_LIMIT_MS / 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void what_does_not_fit_is_left_out_as_a_whole(void **state)
{
    struct crash crash = crash_here();
    struct module *program = &crash.modules.modules[0];

    (void)state;
    (void)memset(program->path, 0, sizeof(program->path));
    (void)memset(program->path, 'x', 200);
    crash.link_count = CRASH_LINKS_MAX;
    crash.frame_count = CRASH_FRAMES_MAX;
    for (uint32_t i = 0; i < CRASH_FRAMES_MAX; i++)
        crash.frames[i] = crash.frames[0] + i * 16;
    for (uint32_t i = 0; i < CRASH_LINKS_MAX; i++) {
        (void)strcpy(crash.links[i].kind, "timer");
        crash.links[i].place = crash.frames[i];
    }
    backtrace_describe(&crash, CRASH_SUPPORT_LIMIT_MS, &described);
    size_t size = strlen(described.frames);
    assert_true(size > BACKTRACE_SIZE - 2 * LOCATION_SIZE && size < BACKTRACE_SIZE);
    assert_non_null(strstr(described.frames, " < "));
    assert_true(strncmp(described.stack, "timer at xxx", 12) == 0);
    assert_true(strlen(described.stack) < BACKTRACE_SIZE);
}

static void without_frames_and_links_there_is_no_text(void **state)
{
    struct crash crash = crash_here();

    (void)state;
    crash.frame_count = 0;
    backtrace_describe(&crash, CRASH_SUPPORT_LIMIT_MS, &described);
    assert_string_equal(described.frames, "");
    assert_string_equal(described.stack, "");
}

static uint64_t fuzz_state = 7;

static uint32_t draw(void)
{
    fuzz_state = fuzz_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(fuzz_state >> 33);
}

static void spoil(void *memory, size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((unsigned char *)memory)[draw() % size] = (unsigned char)draw();
}

static void describe_all(const struct crash_record *record, bool with_backtrace)
{
    static char text[CRASH_SUPPORT_TEXT];
    static struct crash crash;

    (void)crash_culprit(record);
    crash_describe(record, (int)draw(), draw() % 2 ? "because" : NULL, text, sizeof(text));
    assert_true(strlen(text) < sizeof(text));
    if (crash_read(record, &crash) < 0 || !with_backtrace)
        return;
    backtrace_describe(&crash, BACKTRACE_LIMIT_MS, &described);
    assert_true(strlen(described.frames) < BACKTRACE_SIZE);
    assert_true(strlen(described.stack) < BACKTRACE_SIZE);
}

static void no_record_brings_its_reader_down(void **state)
{
    static struct crash_record record;
    const int rounds = RUNNING_ON_VALGRIND ? 40 : 400;

    (void)state;
    for (int round = 0; round < rounds; round++) {
        bool random = round % 4 == 0;

        record.crash = crash_here();
        atomic_store(&record.state, 2);
        for (uint32_t i = 0; i < CRASH_FRAMES_MAX; i++)
            record.crash.frames[i] = record.crash.frames[0] + i * 32;
        record.crash.frame_count = CRASH_FRAMES_MAX;
        record.crash.link_count = CRASH_LINKS_MAX;
        if (random)
            spoil(&record, sizeof(record), sizeof(record) * 2);
        else
            spoil(&record.crash, sizeof(record.crash), 300);
        describe_all(&record, round % 20 < 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_functions_are_named_with_their_lines_innermost_first),
        cmocka_unit_test(wefts_own_machinery_is_left_out),
        cmocka_unit_test(subtasks_and_pool_threads_are_traced_on_their_own_stacks),
        cmocka_unit_test(a_recursion_is_told_once_with_how_often),
        cmocka_unit_test(a_call_of_no_function_is_traced_to_its_caller),
        cmocka_unit_test(exit_and_abort_are_traced_to_who_called_them),
        cmocka_unit_test(a_file_that_is_gone_or_another_leaves_module_and_offset),
        cmocka_unit_test(a_file_that_is_none_is_not_waited_for),
        cmocka_unit_test(the_stack_names_each_operation_that_led_to_the_crash),
        cmocka_unit_test(a_handler_of_the_chain_was_led_to_by_the_job_only),
        cmocka_unit_test(what_does_not_fit_is_left_out_as_a_whole),
        cmocka_unit_test(without_frames_and_links_there_is_no_text),
        cmocka_unit_test(no_record_brings_its_reader_down),
    };

    return cmocka_run_group_tests_name("backtrace", tests, NULL, NULL);
}
