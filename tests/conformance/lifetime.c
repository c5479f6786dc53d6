/* What holds a context, and until when: C63 to C65 and C68. */
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"

static int releases;

static void count_release(void *pointer)
{
    (void)pointer;
    releases++;
}

/* A value whose end can be seen. */
static void set_watched(void)
{
    static int pointed_to;

    EXPECT_EQUAL(weft_set_pointer("watched", &pointed_to, count_release), 0);
}

/* ---- Idle things hold nothing ---- */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void complete(void *future)
{
    weft_future_complete(future, 0);
}

static struct weft_task *kept;
static struct weft_future future;

static int use_everything(void *arg)
{
    set_watched();
    EXPECT_EQUAL(weft_offload(do_nothing, arg, NULL), 0);
    kept = weft_task_ref(weft_spawn("child", do_nothing, arg));
    EXPECT_EQUAL(weft_join(kept, NULL), 0);
    weft_future_init(&future);
    EXPECT_EQUAL(weft_call_soon(complete, &future), 0);
    EXPECT_EQUAL(weft_future_wait(&future, NULL), 0);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_EQUAL(releases, 0);
    return 0;
}

/* The fibers, the pool's thread, the handle and the future all are still there. */
static void c63_what_is_pooled_or_kept_after_its_use_holds_no_context(void)
{
    struct loop_support support = loop_support_begin();

    releases = 0;
    EXPECT(weft_spawn("use", use_everything, NULL) != NULL);
    EXPECT(event_base_dispatch(support.base) >= 0);
    EXPECT_EQUAL(releases, 1);
    loop_support_end(&support);
    kept = weft_task_unref(kept);
}

static int end_before_another(void *arg)
{
    (void)arg;
    set_watched();
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    return 0;
}

static int outlive(void *arg)
{
    releases = 0;
    struct weft_task *task = weft_spawn("end", end_before_another, arg);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    EXPECT_EQUAL(releases, 1); /* with the task's end, not its handle's */
    return 0;
}

static void c63_a_task_gives_its_context_back_when_it_ends(void)
{
    loop_support_run(outlive, NULL);
}

static int audit(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT(weft_get_pointer("watched") != NULL);
    EXPECT_EQUAL(releases, 0);
    return 0;
}

static int start_and_leave(void *arg)
{
    set_watched();
    EXPECT(weft_spawn("audit", audit, arg) != NULL);
    return 0;
}

static void c63_work_that_is_not_awaited_keeps_the_context_until_it_ends(void)
{
    struct loop_support support = loop_support_begin();

    releases = 0;
    EXPECT_EQUAL(weft_run(start_and_leave, NULL), 0);
    EXPECT_EQUAL(releases, 0);
    EXPECT(event_base_dispatch(support.base) >= 0);
    EXPECT_EQUAL(releases, 1);
    loop_support_end(&support);
}

/* ---- Releasing ---- */

static int release_runs(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "inside");
    set_watched();
    return 0;
}

/* A release function may do what it likes: it is code of its own, at the root. */
static void release_busily(void *pointer)
{
    struct weft_context *context = weft_capture();

    releases++;
    EXPECT(context == NULL);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT(weft_get_pointer("busy") == NULL);
    EXPECT_EQUAL(weft_set("a", "set while releasing"), 0);
    EXPECT_TEXT(weft_get("a"), "set while releasing");
    EXPECT_EQUAL(weft_run_with("a", "inside", release_runs, pointer), 0);
    weft_info("released");
}

static int set_busy(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set_pointer("busy", arg, release_busily), 0);
    return 0;
}

static int replace_busy(void *arg)
{
    EXPECT_EQUAL(set_busy(arg), 0);
    EXPECT_EQUAL(releases, 0);
    EXPECT_EQUAL(weft_unset("busy"), 0); /* in the middle of the flow */
    EXPECT_EQUAL(releases, 2);
    EXPECT_TEXT(weft_get("a"), "1");
    return set_busy(arg);
}

static void c64_a_value_is_released_exactly_once_and_at_the_root(void)
{
    struct log_capture log;

    releases = 0;
    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run(replace_busy, &log), 0);
    EXPECT_EQUAL(releases, 4); /* each time, what it has set itself as well */
    releases = 0;
    loop_support_run(replace_busy, &log);
    EXPECT_EQUAL(releases, 4);
    log_capture_end();
    EXPECT_EQUAL(log.count, 4);
    harness_expect(NULL, NULL);
}

/* ---- Shadowed values ---- */

static int capture_at_root(void *ret_context)
{
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    return harness_capture(ret_context);
}

static int capture_without_outer(void *ret_context)
{
    set_watched();
    return weft_exit(capture_at_root, ret_context);
}

static int shadow(void *ret_context)
{
    EXPECT_EQUAL(weft_set("watched", "text now"), 0);
    return harness_capture(ret_context);
}

static int capture_shadowed(void *ret_context)
{
    set_watched();
    return weft_run(shadow, ret_context);
}

static int hide(void *ret_context)
{
    EXPECT_EQUAL(weft_unset("watched"), 0);
    return harness_capture(ret_context);
}

static int capture_hidden(void *ret_context)
{
    set_watched();
    return weft_run(hide, ret_context);
}

static void expect_not_held(int (*capture)(void *ret_context))
{
    struct weft_context *context = NULL;

    releases = 0;
    EXPECT_EQUAL(weft_run(capture, &context), 0);
    EXPECT(context != NULL);
    EXPECT_EQUAL(releases, 1);
    (void)weft_context_unref(context);
    EXPECT_EQUAL(releases, 1);
}

/* Bun's frames were a list that kept what an inner one overrode. */
static void c65_a_captured_context_does_not_hold_what_cannot_be_seen_in_it(void)
{
    expect_not_held(capture_without_outer);
    expect_not_held(capture_shadowed);
    expect_not_held(capture_hidden);
}

/* ---- The logger ---- */

static void log_and_release(void *pointer)
{
    (void)pointer;
    weft_info("from a release function");
}

static int log_inside(void *arg)
{
    EXPECT_EQUAL(weft_set_pointer("logs", arg, log_and_release), 0);
    weft_info("from a run");
    return 0;
}

static int log_in_task(void *arg)
{
    weft_info("from a task");
    EXPECT_EQUAL(weft_offload(log_inside, arg, NULL), 0);
    return 0;
}

static void c68_the_logger_reads_the_context_everywhere(void)
{
    static const char *const wanted[][2] = {
        {"from a run", "1"}, {"from a release function", "-"}, {"from a task", "2"},
        {"from a run", "2"}, {"from a release function", "-"}, {"from outside", "-"},
    };
    struct log_capture log;

    log_capture_begin(&log, "a");
    weft_log_label("b"); /* only where nobody has seen to the log */
    EXPECT_EQUAL(weft_run_with("a", "1", log_inside, &log), 0);
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "2"), 0);
        loop_support_run(log_in_task, &log);
    }
    weft_info("from outside");
    log_capture_end();
    EXPECT_EQUAL(log.count, 6);
    for (int i = 0; i < 6; i++) {
        EXPECT_TEXT(log.messages[i], wanted[i][0]);
        EXPECT_TEXT(log.subjects[i], wanted[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c63_what_is_pooled_or_kept_after_its_use_holds_no_context),
        CONFORMANCE_CASE(c63_a_task_gives_its_context_back_when_it_ends),
        CONFORMANCE_CASE(c63_work_that_is_not_awaited_keeps_the_context_until_it_ends),
        CONFORMANCE_CASE(c64_a_value_is_released_exactly_once_and_at_the_root),
        CONFORMANCE_CASE(c65_a_captured_context_does_not_hold_what_cannot_be_seen_in_it),
        CONFORMANCE_CASE(c68_the_logger_reads_the_context_everywhere),
    };

    return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
