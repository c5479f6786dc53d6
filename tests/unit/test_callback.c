/* Callbacks on the loop, and the futures that they complete. */
#include <stdlib.h>

#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static char letters[] = "abcdefgh";

static void note(void *letter)
{
    trace_add(*(char *)letter);
}

static int clear_trace(void **state)
{
    (void)state;
    trace_clear();
    return 0;
}

/* ---- Order ---- */

static int schedule_soon(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 4; i++)
        EXPECT_EQUAL(weft_call_soon(note, &letters[i]), 0);
    trace_add('1');
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    trace_add('2');
    return 0;
}

static void callbacks_run_in_order_and_not_before_the_caller_waits(void **state)
{
    (void)state;
    loop_support_run(schedule_soon, NULL);
    EXPECT_TEXT(trace, "1abcd2");
}

static int schedule_later(void *arg)
{
    static const uint64_t times[] = {180, 60, 120, 60, 0, 180, 0, 120};

    (void)arg;
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        EXPECT_EQUAL(weft_call_later(times[i], note, &letters[i]), 0);
    return 0;
}

static void later_callbacks_run_by_deadline_and_then_by_order(void **state)
{
    (void)state;
    loop_support_run(schedule_later, NULL);
    EXPECT_TEXT(trace, "egbdchaf");
}

static void again(void *left)
{
    trace_add('.');
    if (--*(int *)left > 0)
        EXPECT_EQUAL(weft_call_soon(again, left), 0);
}

static int race_with_again(void *arg)
{
    int left = 3;

    (void)arg;
    EXPECT_EQUAL(weft_call_soon(again, &left), 0);
    while (left > 0) {
        trace_add('t');
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
    }
    return 0;
}

static void a_callback_that_schedules_itself_lets_others_run_in_between(void **state)
{
    (void)state;
    loop_support_run(race_with_again, NULL);
    EXPECT_TEXT(trace, "t.t.t.");
}

/* ---- Context ---- */

static void expect_a_and_change_it(void *wanted)
{
    EXPECT_TEXT(weft_get("a"), wanted);
    EXPECT_EQUAL(weft_set("a", "of the callback before"), 0);
    trace_add('x');
}

static int schedule_in_contexts(void *arg)
{
    static char before[] = "before", now[] = "now";

    (void)arg;
    EXPECT_EQUAL(weft_call_soon(expect_a_and_change_it, NULL), 0);
    EXPECT_EQUAL(weft_set("a", before), 0);
    EXPECT_EQUAL(weft_call_soon(expect_a_and_change_it, before), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_a_and_change_it, before), 0);
    EXPECT_EQUAL(weft_set("a", now), 0);
    EXPECT_EQUAL(weft_call_soon(expect_a_and_change_it, now), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_a_and_change_it, now), 0);
    return 0;
}

static void a_callback_sees_the_context_of_the_call_that_scheduled_it(void **state)
{
    (void)state;
    loop_support_run(schedule_in_contexts, NULL);
    EXPECT_TEXT(trace, "xxxxx");
}

/* ---- Refusals ---- */

static void callbacks_need_a_loop_and_a_function(void **state)
{
    (void)state;
    errno = 0;
    EXPECT_EQUAL(weft_call_soon(note, letters), -EPERM);
    EXPECT_EQUAL(errno, EPERM);
    EXPECT_EQUAL(weft_call_later(0, note, letters), -EPERM);

    struct loop_support support = loop_support_begin();
    EXPECT_EQUAL(weft_call_soon(NULL, letters), -EINVAL);
    EXPECT_EQUAL(errno, EINVAL);
    EXPECT_EQUAL(weft_call_later(0, NULL, letters), -EINVAL);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "");
}

/* ---- Callbacks that never run ---- */

static struct weft_context *captured;

/* A release function that wants to go on, which the loop that is being freed must refuse. */
static void release_and_schedule(void *letter)
{
    trace_add(*(char *)letter);
    EXPECT_EQUAL(weft_call_soon(note, letter), -EPERM);
    EXPECT_EQUAL(weft_call_later(1, note, letter), -EPERM);
    EXPECT(weft_spawn("late", schedule_soon, NULL) == NULL);
}

static int schedule_and_leave(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set_pointer("soon", &letters[0], release_and_schedule), 0);
    EXPECT_EQUAL(weft_call_soon(note, &letters[2]), 0);
    EXPECT_EQUAL(weft_call_soon(note, &letters[3]), 0);
    EXPECT_EQUAL(weft_set_pointer("later", &letters[1], release_and_schedule), 0);
    EXPECT_EQUAL(weft_call_later(3600 * 1000, note, &letters[4]), 0);
    EXPECT_EQUAL(weft_call_later(3600 * 1000, note, &letters[5]), 0);
    captured = weft_capture();
    return 0;
}

static void callbacks_that_did_not_run_give_their_contexts_back_with_the_loop(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(weft_run(schedule_and_leave, NULL), 0);
    captured = weft_context_unref(captured);
    EXPECT(weft_contexts_alive() > 0);
    support.loop = weft_loop_free(support.loop);
    EXPECT_EQUAL(strlen(trace), 2);
    EXPECT(strchr(trace, 'a') && strchr(trace, 'b'));
    event_base_free(support.base);
}

/* ---- Futures ---- */

static void complete(void *future)
{
    EXPECT_EQUAL(weft_set("a", "of the callback"), 0);
    weft_future_complete(future, 41);
    weft_future_complete(future, 42); /* ignored */
}

static int await(void *arg)
{
    struct weft_future future;
    int result = 0;

    (void)arg;
    weft_future_init(&future);
    EXPECT_EQUAL(weft_set("a", "of the task"), 0);
    EXPECT_EQUAL(weft_call_later(1, complete, &future), 0);
    EXPECT_EQUAL(weft_future_wait(&future, &result), 0);
    EXPECT_EQUAL(result, 41);
    EXPECT_TEXT(weft_get("a"), "of the task");
    result = 0;
    EXPECT_EQUAL(weft_future_wait(&future, &result), 0); /* again, at once */
    EXPECT_EQUAL(result, 41);
    EXPECT_EQUAL(weft_future_wait(&future, NULL), 0);
    return 0;
}

static void a_future_is_completed_once_and_may_be_read_again(void **state)
{
    (void)state;
    loop_support_run(await, NULL);
}

static int await_completed(void *arg)
{
    struct weft_future future = {0};
    int result = 0;

    (void)arg;
    weft_future_complete(&future, -5);
    EXPECT_EQUAL(weft_future_wait(&future, &result), 0);
    EXPECT_EQUAL(result, -5);
    return 0;
}

static void a_future_may_be_completed_before_anybody_waits(void **state)
{
    (void)state;
    loop_support_run(await_completed, NULL);
}

#define CALLBACK_TEST(function_) cmocka_unit_test_setup_teardown(function_, clear_trace, expect_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLBACK_TEST(callbacks_run_in_order_and_not_before_the_caller_waits),
        CALLBACK_TEST(later_callbacks_run_by_deadline_and_then_by_order),
        CALLBACK_TEST(a_callback_that_schedules_itself_lets_others_run_in_between),
        CALLBACK_TEST(a_callback_sees_the_context_of_the_call_that_scheduled_it),
        CALLBACK_TEST(callbacks_need_a_loop_and_a_function),
        CALLBACK_TEST(callbacks_that_did_not_run_give_their_contexts_back_with_the_loop),
        CALLBACK_TEST(a_future_is_completed_once_and_may_be_read_again),
        CALLBACK_TEST(a_future_may_be_completed_before_anybody_waits),
    };

    return cmocka_run_group_tests_name("callback", tests, NULL, NULL);
}
