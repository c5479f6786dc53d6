/* Changing values: C12 to C17. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"

static int set_then_wait(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "of the callee"), 0);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_TEXT(weft_get("a"), "of the callee");
    EXPECT_EQUAL(weft_set("a", "later"), 0);
    return 0;
}

static int call_asynchronously(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "of the caller"), 0);
    struct weft_task *callee = weft_spawn("callee", set_then_wait, arg);
    EXPECT_TEXT(weft_get("a"), "of the caller");
    EXPECT_EQUAL(weft_join(callee, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "of the caller");
    return 0;
}

/* In Node an async function that enters a store before its first await changes its caller's, a documented limitation.
 */
static void c12_what_a_task_sets_before_its_first_wait_does_not_reach_its_spawner(void)
{
    loop_support_run(call_asynchronously, NULL);
}

static int set_plainly(void *arg)
{
    (void)arg;
    return weft_set("a", "of the callee");
}

static int call_plainly(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "of the caller"), 0);
    EXPECT_EQUAL(weft_run(set_plainly, arg), 0);
    EXPECT_TEXT(weft_get("a"), "of the caller");
    return 0;
}

/* There is no enterWith: a function that is to set something for itself is run, or begins a scope. */
static void c12_what_a_run_sets_does_not_reach_its_caller(void)
{
    EXPECT_EQUAL(weft_run(call_plainly, NULL), 0);
}

/* ---- Scopes ---- */

static void c13_a_scope_restores_at_its_end(void)
{
    struct weft_scope scope;

    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static void c13_scopes_nest(void)
{
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "2"), 0);
        {
            WEFT_SCOPE();
            EXPECT_EQUAL(weft_unset("a"), 0);
            EXPECT_TEXT(weft_get("a"), NULL);
        }
        EXPECT_TEXT(weft_get("a"), "2");
    }
    EXPECT_TEXT(weft_get("a"), "1");
}

static int fail_early(void)
{
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    if (weft_get("a"))
        return -EIO;
    EXPECT_NOT_REACHED();
    return 0;
}

static void c13_a_scope_ends_when_its_block_is_left_by_an_error(void)
{
    EXPECT_EQUAL(fail_early(), -EIO);
    EXPECT_TEXT(weft_get("a"), NULL);
}

/* dispose() is idempotent in Node; here the second end says that it was one too many, and changes nothing. */
static void c13_the_second_end_of_a_scope_changes_nothing(void)
{
    struct weft_scope outer, scope;

    weft_scope_begin(&outer);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT_EQUAL(weft_set("a", "3"), 0);
    EXPECT_EQUAL(weft_scope_end(&scope), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "3");
    EXPECT_EQUAL(weft_scope_end(&outer), 0);
}

static void c13_two_values_in_two_scopes_are_independent(void)
{
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("b", "2"), 0);
        harness_expect("1", "2");
    }
    harness_expect("1", NULL);
}

static int scope_across_waits(void *arg)
{
    WEFT_SCOPE();
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static void c13_a_scope_lasts_across_waits(void)
{
    loop_support_run(scope_across_waits, NULL);
    EXPECT_TEXT(weft_get("a"), NULL);
}

/* ---- The wrong order ---- */

/* In OpenTelemetry an end out of order takes everything above with it; the same here, and -EINVAL says so. */
static void c14_an_outer_scope_that_ends_first_takes_the_inner_ones_with_it(void)
{
    struct weft_scope scopes[3];
    static const char *const values[] = {"1", "2", "3"};

    for (size_t i = 0; i < 3; i++) {
        weft_scope_begin(&scopes[i]);
        EXPECT_EQUAL(weft_set("a", values[i]), 0);
    }
    EXPECT_EQUAL(weft_scope_end(&scopes[1]), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scopes[2]), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scopes[0]), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int end_then_look(void *scope)
{
    EXPECT_EQUAL(weft_scope_end(scope), -EINVAL);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static void *end_on_thread(void *scope)
{
    EXPECT_EQUAL(weft_scope_end(scope), -EINVAL); /* it has the context, not the scopes, of its starter */
    EXPECT_TEXT(weft_get("a"), "1");
    return NULL;
}

static void c15_a_scope_cannot_be_ended_in_another_context(void)
{
    struct weft_scope scope;
    pthread_t thread;

    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_run(end_then_look, &scope), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_on_thread, &scope), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    EXPECT_EQUAL(weft_scope_end(&scope), -EINVAL);
}

static int end_in_task(void *scope)
{
    EXPECT_EQUAL(weft_scope_end(scope), -EINVAL);
    return 0;
}

static int begin_for_other_task(void *arg)
{
    struct weft_scope scope;

    (void)arg;
    weft_scope_begin(&scope);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_join(weft_spawn("end", end_in_task, &scope), NULL), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return weft_scope_end(&scope);
}

static void c15_a_scope_cannot_be_ended_by_another_task(void)
{
    loop_support_run(begin_for_other_task, NULL);
}

/* ---- Immutability ---- */

static int look_unchanged(void *arg)
{
    (void)arg;
    harness_expect("1", NULL);
    return 0;
}

static int derive(void *arg)
{
    struct weft_context *parent = weft_capture();

    EXPECT_EQUAL(weft_set("a", "2"), 0);
    EXPECT_EQUAL(weft_set("b", "3"), 0);
    harness_expect("2", "3");
    EXPECT_EQUAL(weft_run_in(parent, look_unchanged, arg), 0);
    EXPECT_EQUAL(weft_set("a", "4"), 0); /* the same name again */
    EXPECT_EQUAL(weft_run_in(parent, look_unchanged, arg), 0);
    (void)weft_context_unref(parent);
    harness_expect("4", "3");
    return 0;
}

static void c16_a_derived_context_never_changes_its_parent(void)
{
    EXPECT_EQUAL(weft_run_with("a", "1", derive, NULL), 0);
}

static int child(void *arg)
{
    int *shared = weft_get_pointer("bag");

    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "of the child"), 0);
    EXPECT(shared != NULL);
    *shared += 1;
    return 0;
}

static int parent(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_join(weft_spawn("child", child, arg), NULL), 0);
    EXPECT_EQUAL(weft_run(child, arg), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(*(int *)weft_get_pointer("bag"), 3);
    return 0;
}

static int parent_with_bag(void *arg)
{
    int *bag = malloc(sizeof(*bag));

    assert_non_null(bag);
    *bag = 1;
    EXPECT_EQUAL(weft_set_pointer("bag", bag, free), 0);
    return parent(arg);
}

/* The value of an AsyncLocalStorage is often a Map that a whole request shares. Here it is what a pointer points to. */
static void c17_values_are_inherited_and_a_pointer_is_how_a_flow_shares_one_object(void)
{
    loop_support_run(parent_with_bag, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c12_what_a_task_sets_before_its_first_wait_does_not_reach_its_spawner),
        CONFORMANCE_CASE(c12_what_a_run_sets_does_not_reach_its_caller),
        CONFORMANCE_CASE(c13_a_scope_restores_at_its_end),
        CONFORMANCE_CASE(c13_scopes_nest),
        CONFORMANCE_CASE(c13_a_scope_ends_when_its_block_is_left_by_an_error),
        CONFORMANCE_CASE(c13_the_second_end_of_a_scope_changes_nothing),
        CONFORMANCE_CASE(c13_two_values_in_two_scopes_are_independent),
        CONFORMANCE_CASE(c13_a_scope_lasts_across_waits),
        CONFORMANCE_CASE(c14_an_outer_scope_that_ends_first_takes_the_inner_ones_with_it),
        CONFORMANCE_CASE(c15_a_scope_cannot_be_ended_in_another_context),
        CONFORMANCE_CASE(c15_a_scope_cannot_be_ended_by_another_task),
        CONFORMANCE_CASE(c16_a_derived_context_never_changes_its_parent),
        CONFORMANCE_CASE(c17_values_are_inherited_and_a_pointer_is_how_a_flow_shares_one_object),
    };

    return cmocka_run_group_tests_name("scopes", tests, NULL, NULL);
}
