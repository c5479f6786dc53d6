/*
 * Leaving runs otherwise than by returning: by an exception of C++, by longjmp, by the end of the thread. Whatever the
 * way, the code outside is in its own context again, and what the run held is given back.
 */
#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>

#include "tests/conformance/harness.h"
#include "tests/conformance/leaving_cxx.h"
#include "tests/support/checker.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"

static int released;

static void release(void *pointer)
{
    (void)pointer;
    released++;
}

static int hold_a_value(void)
{
    static int object;

    return weft_set_pointer("held", &object, release);
}

/* ---- The ways into a run ---- */

/* Each calls fn(NULL) in a run that holds a value. */
static int (*called)(void *arg);

static int hold_and_call(void *arg)
{
    EXPECT_EQUAL(hold_a_value(), 0);
    EXPECT_EQUAL(weft_set("a", "inner"), 0);
    return called(arg);
}

static int by_run(void)
{
    return weft_run(hold_and_call, NULL);
}

static int by_run_with(void)
{
    return weft_run_with("a", "inner", hold_and_call, NULL);
}

static int by_exit(void)
{
    return weft_exit(hold_and_call, NULL);
}

static int capture(void *ret_context)
{
    *(struct weft_context **)ret_context = weft_capture();
    return 0;
}

/* The reference is the caller's in any case, so it must not be left to who returns. */
static struct weft_context *captured;

static int by_run_in(void)
{
    EXPECT_EQUAL(weft_run_with("a", "captured", capture, &captured), 0);
    return weft_run_in(captured, hold_and_call, NULL);
}

static struct weft_bound bound;

static int by_call(void)
{
    weft_bind(&bound, hold_and_call, NULL);
    return weft_call(&bound);
}

static int by_call_once(void)
{
    weft_bind(&bound, hold_and_call, NULL);
    return weft_call_once(&bound);
}

static int by_scope_in_a_run(void *arg)
{
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("a", "of the scope"), 0);
    return hold_and_call(arg);
}

static int by_a_run_with_a_scope(void)
{
    return weft_run(by_scope_in_a_run, NULL);
}

static int by_two(void *arg)
{
    (void)arg;
    return by_run();
}

static int by_runs_in_runs(void)
{
    return weft_run_with("a", "outer", by_two, NULL);
}

static int (*const ways[])(void) = {by_run,       by_run_with,           by_exit,        by_run_in, by_call,
                                    by_call_once, by_a_run_with_a_scope, by_runs_in_runs};
enum { WAYS = sizeof(ways) / sizeof(*ways) };

static void done_with_way(void)
{
    captured = weft_context_unref(captured);
    weft_unbind(&bound);
}

static void expect_outer(const void *context)
{
    struct weft_context *now = weft_capture();

    EXPECT(now == context);
    EXPECT_TEXT(weft_get("a"), NULL);
    (void)weft_context_unref(now);
}

/* ---- Exceptions ---- */

static int leave_by_exception(void *arg)
{
    (void)arg;
    leaving_throw(42);
    return 0;
}

static int wait_and_leave_by_exception(void *arg)
{
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    return leave_by_exception(arg);
}

static int throw_in_all_ways(void *arg)
{
    struct weft_context *before = weft_capture();

    called = arg ? wait_and_leave_by_exception : leave_by_exception;
    for (int way = 0; way < WAYS; way++) {
        released = 0;
        EXPECT_EQUAL(leaving_catch(ways[way]), 42);
        expect_outer(before);
        done_with_way();
        EXPECT_EQUAL(released, 1);
    }
    (void)weft_context_unref(before);
    return 0;
}

static void an_exception_leaves_a_run_and_takes_nothing_along(void)
{
    EXPECT_EQUAL(throw_in_all_ways(NULL), 0);
}

static void so_does_one_in_a_task(void)
{
    static char wait[] = "wait";

    loop_support_run(throw_in_all_ways, NULL);
    loop_support_run(throw_in_all_ways, wait);
}

/* ---- longjmp ---- */

static jmp_buf outside;

static int leave_by_longjmp(void *arg)
{
    (void)arg;
    longjmp(outside, 1);
}

static int jump_out(void *way)
{
    int (*enter)(void) = NULL;

    memcpy(&enter, way, sizeof(enter));
    if (setjmp(outside) == 0)
        (void)enter();
    return 0;
}

/* Is noticed where the run around it ends. */
static int jump_in_all_ways(void *arg)
{
    struct weft_context *before = weft_capture();
    struct log_capture capture;

    called = leave_by_longjmp;
    for (int way = 0; way < WAYS; way++) {
        int (*enter)(void) = ways[way];

        released = 0;
        log_capture_begin(&capture, "a");
        EXPECT_EQUAL(weft_run(jump_out, &enter), 0);
        log_capture_end();
        EXPECT(capture.count > 0 && strstr(capture.messages[capture.count - 1], "left by longjmp()"));
        expect_outer(before);
        done_with_way();
        EXPECT_EQUAL(released, 1);
    }
    (void)weft_context_unref(before);
    (void)arg;
    return 0;
}

static void a_longjmp_out_of_a_run_is_noticed_where_the_next_one_ends(void)
{
    EXPECT_EQUAL(jump_in_all_ways(NULL), 0);
}

static void so_is_one_in_a_task(void)
{
    loop_support_run(jump_in_all_ways, NULL);
}

/* ---- The end of a thread ---- */

static int leave_by_exit(void *arg)
{
    pthread_exit(arg);
}

static int leave_by_cancellation(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(pthread_cancel(pthread_self()), 0);
    (void)pause();
    return 0;
}

static void *enter_one(void *way)
{
    int (*enter)(void) = NULL;

    memcpy(&enter, way, sizeof(enter));
    (void)enter();
    EXPECT_NOT_REACHED();
    return NULL;
}

static int start_one(void *way)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, enter_one, way), 0);
    return pthread_join(thread, NULL);
}

static void end_threads_in_all_ways(int (*how)(void *arg))
{
    called = how;
    for (int way = 0; way < WAYS; way++) {
        int (*enter)(void) = ways[way];

        released = 0;
        /* One that is followed, and one that is not. */
        EXPECT_EQUAL(weft_run_with("b", "1", start_one, &enter), 0);
        done_with_way();
        EXPECT_EQUAL(released, 1);
        EXPECT_EQUAL(weft_exit(start_one, &enter), 0);
        done_with_way();
        EXPECT_EQUAL(released, 2);
    }
}

static void a_thread_that_ends_in_a_run_gives_back_what_that_held(void)
{
    end_threads_in_all_ways(leave_by_exit);
}

static void so_does_one_that_is_cancelled(void)
{
    if (CHECKER_KNOWS_CANCELLATION)
        end_threads_in_all_ways(leave_by_cancellation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(an_exception_leaves_a_run_and_takes_nothing_along),
        CONFORMANCE_CASE(so_does_one_in_a_task),
        CONFORMANCE_CASE(a_longjmp_out_of_a_run_is_noticed_where_the_next_one_ends),
        CONFORMANCE_CASE(so_is_one_in_a_task),
        CONFORMANCE_CASE(a_thread_that_ends_in_a_run_gives_back_what_that_held),
        CONFORMANCE_CASE(so_does_one_that_is_cancelled),
    };

    return cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
}
