/* Reading, and runs: C1 to C11. */
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"

static int count_value(const char *name, const char *value, size_t size, void *arg)
{
    (void)value;
    (void)size;
    *(int *)arg += strcmp(name, "harness") != 0;
    return 0;
}

/* Node and TC39 have default values; in C the reader writes its own, behind the `?:`. */
static void c01_outside_of_every_run_there_is_no_value(void)
{
    size_t size = 5;
    int values = 0;

    harness_expect(NULL, NULL);
    EXPECT(weft_get_bytes("a", &size) == NULL);
    EXPECT_EQUAL(size, 5);
    EXPECT(weft_get_pointer("a") == NULL);
    EXPECT_TEXT(weft_get(""), NULL);
    EXPECT_TEXT(weft_get(NULL), NULL);
    EXPECT_EQUAL(weft_each(count_value, &values), 0);
    EXPECT_EQUAL(values, 0);
    EXPECT_TEXT(weft_get("a") ?: "default", "default");
}

static int add_one(void *number)
{
    return ++*(int *)number;
}

static void c02_a_run_passes_the_argument_and_gives_the_result(void)
{
    struct weft_bound bound;
    int number = 0;

    EXPECT_EQUAL(weft_run(add_one, &number), 1);
    EXPECT_EQUAL(weft_run_with("a", "1", add_one, &number), 2);
    EXPECT_EQUAL(weft_exit(add_one, &number), 3);
    EXPECT_EQUAL(weft_run_in(NULL, add_one, &number), 4);
    weft_bind(&bound, add_one, &number);
    EXPECT_EQUAL(weft_call(&bound), 5);
    EXPECT_EQUAL(weft_call_once(&bound), 6);
    EXPECT_EQUAL(number, 6);
}

struct place {
    int x, y;
    double z;
};

static int read_kinds(void *place)
{
    struct place copy, *kept = weft_get_pointer("place");
    size_t size = 0;

    EXPECT(kept == place);
    EXPECT_EQUAL(kept->y, 2);
    EXPECT_EQUAL((intptr_t)weft_get_pointer("number"), 42);
    EXPECT_TEXT(weft_get("number"), NULL); /* a pointer is no text */
    memcpy(&copy, weft_get_bytes("copy", &size), sizeof(copy));
    EXPECT_EQUAL(size, sizeof(copy));
    EXPECT(copy.x == 1 && copy.y == 2 && copy.z > 2.9);
    EXPECT_TEXT(weft_get("text"), "some words");
    return 0;
}

static int set_kinds(void *place)
{
    EXPECT_EQUAL(weft_set_pointer("place", place, NULL), 0);
    EXPECT_EQUAL(weft_set_pointer("number", (void *)(intptr_t)42, NULL), 0);
    EXPECT_EQUAL(weft_set_bytes("copy", place, sizeof(struct place)), 0);
    EXPECT_EQUAL(weft_set("text", "some words"), 0);
    return weft_run(read_kinds, place);
}

static void c03_values_are_text_bytes_structures_and_pointers(void)
{
    struct place place = {1, 2, 3};

    EXPECT_EQUAL(weft_run(set_kinds, &place), 0);
}

static int look(void *wanted)
{
    EXPECT_TEXT(weft_get("a"), wanted);
    return 0;
}

static int nest(void *arg)
{
    static char outer[] = "outer", inner[] = "inner";

    (void)arg;
    EXPECT_TEXT(weft_get("a"), "outer");
    EXPECT_EQUAL(weft_run_with("a", "inner", look, inner), 0);
    EXPECT_TEXT(weft_get("a"), "outer");
    EXPECT_EQUAL(weft_exit(look, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "outer");
    EXPECT_EQUAL(weft_run(look, outer), 0);
    return 0;
}

static void c04_nested_runs_restore_the_outer_value(void)
{
    EXPECT_EQUAL(weft_run_with("a", "outer", nest, NULL), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int set_other(void *arg)
{
    (void)arg;
    harness_expect("1", "2");
    EXPECT_EQUAL(weft_set("b", "3"), 0);
    harness_expect("1", "3");
    return 0;
}

static int run_other(void *arg)
{
    harness_expect("1", NULL);
    EXPECT_EQUAL(weft_run_with("b", "2", set_other, arg), 0);
    harness_expect("1", NULL);
    return 0;
}

static void c05_values_of_different_names_are_independent(void)
{
    EXPECT_EQUAL(weft_run_with("a", "1", run_other, NULL), 0);
    harness_expect(NULL, NULL);
}

static void expect_in_callback(void *wanted)
{
    const char *const *both = wanted;

    harness_expect(both[0], both[1]);
}

static int overlap(void *arg)
{
    static const char *first[] = {"1", "2"}, *second[] = {"1", "3"}, *third[] = {NULL, "3"};

    (void)arg;
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    EXPECT_EQUAL(weft_call_later(2, expect_in_callback, first), 0);
    EXPECT_EQUAL(weft_set("b", "3"), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_in_callback, second), 0);
    EXPECT_EQUAL(weft_unset("a"), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_in_callback, third), 0);
    return 0;
}

static void c05_overlapping_timers_do_not_mix_values(void)
{
    loop_support_run(overlap, NULL);
    harness_expect(NULL, NULL);
}

static int begin_b(void *scope)
{
    weft_scope_begin(scope);
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    return 0;
}

/* Node restores one variable at the end of its run, and what was entered of another survives. weft restores everything:
 * a scope that is still open when its run ends is a mistake, is reported, and is ended. */
static void c06_the_end_of_a_run_ends_the_scopes_that_were_begun_in_it(void)
{
    struct log_capture log;
    struct weft_scope scope;

    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_b, &scope), 0);
    log_capture_end();
    harness_expect(NULL, NULL);
    EXPECT_EQUAL(log.count, 1);
    EXPECT_EQUAL(weft_scope_end(&scope), -EINVAL);
}

static int look_twice(void *arg)
{
    (void)arg;
    harness_expect("1", "2");
    return 0;
}

static void c06_a_scope_around_a_run_survives_it(void)
{
    struct weft_scope scope;

    (void)begin_b(&scope);
    EXPECT_EQUAL(weft_run_with("a", "1", look_twice, NULL), 0);
    harness_expect(NULL, "2");
    EXPECT_EQUAL(weft_scope_end(&scope), 0);
    harness_expect(NULL, NULL);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "3"), 0);
    return -EIO;
}

static int fail_inside(void *arg)
{
    int r = weft_run_with("a", "2", fail_at_once, arg);

    EXPECT_TEXT(weft_get("a"), "1");
    return r;
}

/* C has no exceptions: an error is a result. What leaves a run by longjmp is not supported, as with every cleanup in C.
 */
static void c07_a_run_that_fails_restores_the_outer_value(void)
{
    EXPECT_EQUAL(weft_run_with("a", "1", fail_inside, NULL), -EIO);
    harness_expect(NULL, NULL);
}

static int wait_inside(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "3"), 0);
    return weft_sleep_ms(3600 * 1000);
}

static int wait_in_runs(void *arg)
{
    int r = weft_run_with("a", "2", wait_inside, arg);

    EXPECT_EQUAL(r, -ECANCELED);
    EXPECT_TEXT(weft_get("a"), "1");
    return r;
}

static int cancel_in_runs(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    struct weft_task *task = weft_spawn("wait", wait_in_runs, arg);
    EXPECT_EQUAL(weft_set("a", "4"), 0);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    weft_cancel(task);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "4");
    return 0;
}

static void c07_a_cancelled_task_leaves_its_runs_one_by_one(void)
{
    loop_support_run(cancel_in_runs, NULL);
    harness_expect(NULL, NULL);
}

static int descend(void *depth)
{
    int here = *(int *)depth, left = here - 1;
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", here);
    EXPECT_EQUAL(weft_set("a", text), 0);
    if (left > 0)
        EXPECT_EQUAL(weft_run(descend, &left), 0);
    EXPECT_TEXT(weft_get("a"), text);
    return 0;
}

static void c08_a_thousand_nested_runs_restore_one_by_one(void)
{
    int depth = 1000;

    EXPECT_EQUAL(weft_run(descend, &depth), 0);
    depth = 100;
    loop_support_run(descend, &depth); /* on a task's stack, which is smaller */
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int exit_and_run(void *left);

static int run_and_exit(void *left)
{
    EXPECT_TEXT(weft_get("a"), "1");
    return *(int *)left > 0 ? weft_exit(exit_and_run, left) : 0;
}

/* At the root again and again: neither its own values nor those of the rounds before. */
static int exit_and_run(void *left)
{
    EXPECT(weft_capture() == NULL);
    --*(int *)left;
    return weft_run_with("a", "1", run_and_exit, left);
}

static void c09_runs_and_exits_in_turn_leave_nothing_behind(void)
{
    long before = weft_contexts_alive();
    int left = 100;

    EXPECT_EQUAL(weft_exit(exit_and_run, &left), 0);
    EXPECT_EQUAL(left, 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    harness_expect(NULL, NULL);
}

static int change(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "changed"), 0);
    return look(arg);
}

static int run_with_same(void *arg)
{
    static char changed[] = "changed";

    (void)arg;
    EXPECT_EQUAL(weft_run_with("a", "1", change, changed), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

/* Node takes a short cut where the value is the same, and the change leaks. */
static void c10_a_run_with_the_same_value_restores_an_inner_change(void)
{
    EXPECT_EQUAL(weft_run_with("a", "1", run_with_same, NULL), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int exit_from_empty(void *arg)
{
    EXPECT_TEXT(weft_get("a"), "");
    EXPECT_EQUAL(weft_exit(look, arg), 0);
    EXPECT_TEXT(weft_get("a"), "");
    EXPECT_EQUAL(weft_run_with("a", NULL, look, arg), 0);
    EXPECT_TEXT(weft_get("a"), "");
    return 0;
}

/* In JavaScript undefined is a value, and a variable can be bound to it. A NULL in C says that there is none: setting
 * it is unsetting. What is bound and holds nothing is the empty string. */
static void c11_empty_is_not_unset_and_an_exit_shows_nothing(void)
{
    EXPECT_EQUAL(weft_run_with("a", "", exit_from_empty, NULL), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c01_outside_of_every_run_there_is_no_value),
        CONFORMANCE_CASE(c02_a_run_passes_the_argument_and_gives_the_result),
        CONFORMANCE_CASE(c03_values_are_text_bytes_structures_and_pointers),
        CONFORMANCE_CASE(c04_nested_runs_restore_the_outer_value),
        CONFORMANCE_CASE(c05_values_of_different_names_are_independent),
        CONFORMANCE_CASE(c05_overlapping_timers_do_not_mix_values),
        CONFORMANCE_CASE(c06_the_end_of_a_run_ends_the_scopes_that_were_begun_in_it),
        CONFORMANCE_CASE(c06_a_scope_around_a_run_survives_it),
        CONFORMANCE_CASE(c07_a_run_that_fails_restores_the_outer_value),
        CONFORMANCE_CASE(c07_a_cancelled_task_leaves_its_runs_one_by_one),
        CONFORMANCE_CASE(c08_a_thousand_nested_runs_restore_one_by_one),
        CONFORMANCE_CASE(c09_runs_and_exits_in_turn_leave_nothing_behind),
        CONFORMANCE_CASE(c10_a_run_with_the_same_value_restores_an_inner_change),
        CONFORMANCE_CASE(c11_empty_is_not_unset_and_an_exit_shows_nothing),
    };

    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
