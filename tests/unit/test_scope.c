/* Runs and scopes: where values may be set, and that they are taken back. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"

static const char left_open[] =
    "1 scope(s) were left open and have been ended: each weft_scope_begin() needs its weft_scope_end()";

/* ---- Where values may be set ---- */

static void at_the_root_nothing_may_be_set(void **state)
{
    int pointed_to;

    (void)state;
    EXPECT_EQUAL(weft_set("a", "1"), -EPERM);
    EXPECT_EQUAL(weft_set_bytes("a", "1", 1), -EPERM);
    EXPECT_EQUAL(weft_set_pointer("a", &pointed_to, free), -EPERM);
    EXPECT_EQUAL(weft_unset("a"), -EPERM);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int fill(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 5;
}

static void set_in_a_run_is_undone_when_it_returns(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(fill, NULL), 5);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_exit(fill, NULL), 5);
    EXPECT_EQUAL(weft_run_in(NULL, fill, NULL), 5);
    EXPECT_EQUAL(weft_run_with("a", "0", fill, NULL), 5);
    EXPECT_EQUAL(weft_set("a", "1"), -EPERM);
}

static void set_in_a_scope_at_the_root_is_undone_at_its_end(void **state)
{
    struct weft_scope scope;

    (void)state;
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_set("a", "1"), -EPERM);
}

/* ---- The order of scopes ---- */

static int nest(void *arg)
{
    struct weft_scope outer, inner;

    (void)arg;
    weft_scope_begin(&outer);
    EXPECT_EQUAL(weft_set("a", "outer"), 0);
    weft_scope_begin(&inner);
    EXPECT_EQUAL(weft_set("a", "inner"), 0);
    EXPECT_EQUAL(weft_scope_end(&inner), 0);
    EXPECT_TEXT(weft_get("a"), "outer");
    EXPECT_EQUAL(weft_scope_end(&inner), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "outer");
    EXPECT_EQUAL(weft_scope_end(&outer), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_scope_end(&outer), -EINVAL);
    EXPECT_EQUAL(weft_scope_end(NULL), 0);
    return 0;
}

static void scopes_nest_and_end_once(void **state)
{
    (void)state;
    EXPECT_EQUAL(nest(NULL), 0);
    EXPECT_EQUAL(weft_run(nest, NULL), 0);
}

/* Ends three nested scopes in the order of `digits`. The end of a scope ends those inside it. */
static void end_in_order(const char *digits)
{
    static const char *const values[] = {NULL, "0", "1", "2"};
    struct weft_scope scopes[3];
    int open = 3;

    for (int i = 0; i < 3; i++) {
        weft_scope_begin(&scopes[i]);
        EXPECT_EQUAL(weft_set("a", values[i + 1]), 0);
    }
    for (const char *digit = digits; *digit; digit++) {
        int scope = *digit - '0';

        EXPECT_EQUAL(weft_scope_end(&scopes[scope]), scope == open - 1 ? 0 : -EINVAL);
        open = scope < open ? scope : open;
        EXPECT_TEXT(weft_get("a"), values[open]);
    }
    EXPECT_EQUAL(weft_set("a", "1"), -EPERM);
}

static void scopes_ended_in_any_order_leave_what_was_before(void **state)
{
    (void)state;
    end_in_order("210");
    end_in_order("201");
    end_in_order("120");
    end_in_order("102");
    end_in_order("021");
    end_in_order("012");
    end_in_order("0");
}

static void a_scope_of_a_block_ends_however_the_block_is_left(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        WEFT_SCOPE();
        EXPECT_TEXT(weft_get("a"), NULL);
        EXPECT_EQUAL(weft_set("a", "1"), 0);
        if (i == 0)
            continue;
        if (i == 2)
            break;
        EXPECT_EQUAL(weft_set("b", "2"), 0);
    }
    EXPECT_TEXT(weft_get("b"), NULL);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int end_of_others_scope(void *scope)
{
    EXPECT_EQUAL(weft_scope_end(scope), -EINVAL);
    return 0;
}

static void a_scope_cannot_be_ended_from_an_inner_run(void **state)
{
    struct weft_scope scope;

    (void)state;
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_run(end_of_others_scope, &scope), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
}

static int end_from_another_task(void *arg)
{
    struct weft_scope scope;

    (void)arg;
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    struct weft_task *other = weft_spawn("other", end_of_others_scope, &scope);
    EXPECT_EQUAL(weft_join(other, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    return 0;
}

static void a_scope_cannot_be_ended_from_another_task(void **state)
{
    (void)state;
    loop_support_run(end_from_another_task, NULL);
}

static void *end_on_thread(void *foreign)
{
    struct weft_scope own;

    weft_scope_begin(&own);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_scope_end(foreign), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&own), 0);
    return NULL;
}

/* Two new threads, so that each begins its first scope. */
static void *begin_on_thread(void *arg)
{
    struct weft_scope scope;
    pthread_t other;

    (void)arg;
    weft_scope_begin(&scope);
    assert_int_equal(pthread_create(&other, NULL, end_on_thread, &scope), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    return NULL;
}

static void a_scope_cannot_be_ended_from_another_thread(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, begin_on_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- Scopes in a captured context ---- */

static int capture_it(void *arg)
{
    *(struct weft_context **)arg = weft_capture();
    return 0;
}

static int go_in_and_out(void *arg)
{
    struct weft_context *other = arg;
    struct weft_scope scope, inner;

    weft_scope_begin_in(&scope, other);
    EXPECT_TEXT(weft_get("user"), "other");
    EXPECT_EQUAL(weft_set("user", "changed"), 0);
    weft_scope_begin_in(&inner, NULL);
    EXPECT(weft_capture() == NULL);
    EXPECT_EQUAL(weft_set("user", "at the root"), 0);
    EXPECT_EQUAL(weft_scope_end(&inner), 0);
    EXPECT_TEXT(weft_get("user"), "changed");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT_TEXT(weft_get("user"), "own");
    EXPECT_EQUAL(weft_scope_end(&scope), -EINVAL);
    return 0;
}

static void a_scope_may_be_in_another_context(void **state)
{
    struct weft_context *other = NULL;
    struct weft_scope scope;

    (void)state;
    EXPECT_EQUAL(weft_run_with("user", "other", capture_it, &other), 0);
    EXPECT_EQUAL(weft_run_with("user", "own", go_in_and_out, other), 0);
    weft_scope_begin_in(&scope, other);
    other = weft_context_unref(other);
    EXPECT_TEXT(weft_get("user"), "other");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT(weft_capture() == NULL);
}

/* ---- Forgotten scopes ---- */

static int forget(void *arg)
{
    struct weft_scope scope;

    (void)arg;
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "inside"), 0);
    return 3;
}

static int see_forgotten(void *arg)
{
    EXPECT_EQUAL(weft_run(forget, NULL), 3);
    EXPECT_TEXT(weft_get("a"), "outside");
    return *(int *)arg;
}

static void a_forgotten_scope_is_ended_with_its_run_and_warned_of(void **state)
{
    struct log_capture log;
    int result = 4;

    (void)state;
    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run_with("a", "outside", see_forgotten, &result), 4);
    log_capture_end();
    EXPECT_EQUAL(log.count, 1);
    EXPECT_EQUAL(log.levels[0], WEFT_WARN);
    EXPECT_TEXT(log.messages[0], left_open);
    EXPECT_TEXT(log.subjects[0], "outside"); /* still the run's own context */
}

static void forget_in_callback(void *arg)
{
    (void)forget(arg);
}

static int forget_in_several_places(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "task"), 0);
    EXPECT_EQUAL(weft_call_soon(forget_in_callback, NULL), 0);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_EQUAL(weft_offload(forget, NULL, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "task");
    return forget(arg);
}

static void a_forgotten_scope_is_ended_with_its_task_callback_or_offload(void **state)
{
    struct log_capture log;

    (void)state;
    log_capture_begin(&log, "a");
    loop_support_run(forget_in_several_places, NULL);
    log_capture_end();
    EXPECT_EQUAL(log.count, 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_TEXT(log.messages[i], left_open);
        EXPECT_TEXT(log.subjects[i], "task");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(at_the_root_nothing_may_be_set),
        EXPECT_TEST(set_in_a_run_is_undone_when_it_returns),
        EXPECT_TEST(set_in_a_scope_at_the_root_is_undone_at_its_end),
        EXPECT_TEST(scopes_nest_and_end_once),
        EXPECT_TEST(scopes_ended_in_any_order_leave_what_was_before),
        EXPECT_TEST(a_scope_may_be_in_another_context),
        EXPECT_TEST(a_scope_of_a_block_ends_however_the_block_is_left),
        EXPECT_TEST(a_scope_cannot_be_ended_from_an_inner_run),
        EXPECT_TEST(a_scope_cannot_be_ended_from_another_task),
        EXPECT_TEST(a_scope_cannot_be_ended_from_another_thread),
        EXPECT_TEST(a_forgotten_scope_is_ended_with_its_run_and_warned_of),
        EXPECT_TEST(a_forgotten_scope_is_ended_with_its_task_callback_or_offload),
    };

    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
