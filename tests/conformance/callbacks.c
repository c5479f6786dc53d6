/* Timers and callbacks of the loop: C28 to C30. */
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static void expect_a(void *wanted)
{
    trace_add('.');
    EXPECT_TEXT(weft_get("a"), wanted);
}

static int arm_all(void *value)
{
    EXPECT_EQUAL(weft_set("a", value), 0);
    EXPECT_EQUAL(weft_call_soon(expect_a, value), 0);
    EXPECT_EQUAL(weft_call_later(0, expect_a, value), 0);
    EXPECT_EQUAL(weft_call_later(2, expect_a, value), 0);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_TEXT(weft_get("a"), value);
    return 0;
}

static int arm_in_two_tasks(void *arg)
{
    static char first[] = "1", second[] = "2";

    (void)arg;
    EXPECT(weft_spawn("first", arm_all, first) != NULL);
    EXPECT(weft_spawn("second", arm_all, second) != NULL);
    EXPECT_EQUAL(weft_call_soon(expect_a, NULL), 0);
    return 0;
}

static void c28_a_deferred_call_sees_the_context_that_deferred_it(void)
{
    trace_clear();
    loop_support_run(arm_in_two_tasks, NULL);
    EXPECT_TEXT(trace, ".......");
}

static void tick(void *left)
{
    EXPECT_TEXT(weft_get("a"), "armed");
    if (--*(int *)left > 0)
        EXPECT_EQUAL(weft_call_later(1, tick, left), 0);
}

static int arm_ticks(void *left)
{
    EXPECT_EQUAL(weft_set("a", "armed"), 0);
    EXPECT_EQUAL(weft_call_later(1, tick, left), 0);
    EXPECT_EQUAL(weft_set("a", "later"), 0);
    return 0;
}

static void c28_a_periodic_call_keeps_the_arming_context_on_every_tick(void)
{
    int left = 5;

    loop_support_run(arm_ticks, &left);
    EXPECT_EQUAL(left, 0);
}

/* Where the order is given by the deadlines, and contexts alternate, none is taken for its neighbour's. */
static int arm_many(void *arg)
{
    static char values[10][2];

    (void)arg;
    for (size_t i = 0; i < 200; i++) {
        char *value = values[i % 10];

        value[0] = (char)('0' + i % 10);
        EXPECT_EQUAL(weft_set("a", value), 0);
        EXPECT_EQUAL(weft_call_later(i * 7 % 5, expect_a, value), 0);
    }
    return 0;
}

static void c28_many_timers_in_turn_do_not_mix_contexts(void)
{
    trace_clear();
    loop_support_run(arm_many, NULL);
    EXPECT_EQUAL(trace_size, 200);
}

static void change_and_leave(void *arg)
{
    struct weft_scope forgotten;

    (void)arg;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_set("a", "leaked"), 0);
    weft_scope_begin(&forgotten);
    EXPECT_EQUAL(weft_set("b", "leaked"), 0);
}

static void expect_nothing(void *arg)
{
    (void)arg;
    harness_expect(NULL, NULL);
    trace_add('n');
}

static void plain_libevent_callback(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    expect_nothing(arg);
    EXPECT(weft_task_current() == NULL);
}

static int expect_nothing_in_task(void *arg)
{
    expect_nothing(arg);
    return 0;
}

static void c29_a_change_in_one_callback_is_not_seen_by_the_next(void)
{
    struct loop_support support = loop_support_begin();
    struct log_capture log;

    trace_clear();
    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_call_soon(change_and_leave, NULL), 0);
    EXPECT_EQUAL(weft_call_soon(expect_nothing, NULL), 0);
    EXPECT(weft_spawn("task", expect_nothing_in_task, NULL) != NULL);
    EXPECT_EQUAL(weft_call_later(1, change_and_leave, NULL), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_nothing, NULL), 0);
    EXPECT_EQUAL(event_base_once(support.base, -1, EV_TIMEOUT, plain_libevent_callback, NULL,
                                 &(struct timeval){.tv_usec = 5000}),
                 0);
    loop_support_end(&support);
    log_capture_end();
    EXPECT_EQUAL(log.count, 2); /* warnings of forgotten scopes */
    EXPECT_TEXT(trace, "nnnn");
    harness_expect(NULL, NULL);
}

static int change_and_end(void *arg)
{
    change_and_leave(arg);
    return 0;
}

static void c29_a_change_in_a_task_is_not_seen_by_what_runs_after_it(void)
{
    struct loop_support support = loop_support_begin();
    struct log_capture log;

    trace_clear();
    log_capture_begin(&log, "a");
    EXPECT(weft_spawn("change", change_and_end, NULL) != NULL);
    EXPECT_EQUAL(weft_call_soon(expect_nothing, NULL), 0);
    EXPECT(weft_spawn("task", expect_nothing_in_task, NULL) != NULL);
    loop_support_end(&support);
    log_capture_end();
    EXPECT_EQUAL(log.count, 1); /* warnings of forgotten scopes */
    EXPECT_TEXT(trace, "nn");
    harness_expect(NULL, NULL);
}

static void expect_one_and_change(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "changed"), 0);
    trace_add('t');
}

static int arm_two_ticks(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_one_and_change, arg), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_one_and_change, arg), 0);
    EXPECT_EQUAL(weft_call_later(2, expect_one_and_change, arg), 0);
    return 0;
}

/* Node's older engine let the second tick of an interval see what the first had entered. weft has no intervals: who
 * arms the next tick after a change wants it to see the change; ticks that were armed before do not. */
static void c30_a_change_in_one_tick_is_not_seen_by_the_next(void)
{
    trace_clear();
    loop_support_run(arm_two_ticks, NULL);
    EXPECT_TEXT(trace, "ttt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c28_a_deferred_call_sees_the_context_that_deferred_it),
        CONFORMANCE_CASE(c28_a_periodic_call_keeps_the_arming_context_on_every_tick),
        CONFORMANCE_CASE(c28_many_timers_in_turn_do_not_mix_contexts),
        CONFORMANCE_CASE(c29_a_change_in_one_callback_is_not_seen_by_the_next),
        CONFORMANCE_CASE(c29_a_change_in_a_task_is_not_seen_by_what_runs_after_it),
        CONFORMANCE_CASE(c30_a_change_in_one_tick_is_not_seen_by_the_next),
    };

    return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
