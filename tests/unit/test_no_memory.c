/* What happens where an allocation fails: an error, and everything as it was before. Each is failed in turn. */
#include <stdlib.h>

#include "context/frame.h"
#include "tests/support/failing_memory.h"
#include "tests/support/loop_support.h"

/* Calls `step` with its first, second, ... allocation failing, until it succeeds; gives how often it failed. */
static int fail_each(int (*step)(void *arg), void *arg)
{
    for (int failures = 0; failures < 20; failures++) {
        allocations_left = failures;
        int r = step(arg);
        allocations_left = -1;
        if (r == 0)
            return failures;
        EXPECT_EQUAL(r, -ENOMEM);
    }
    EXPECT_NOT_REACHED();
    return 0;
}

/* ---- Contexts ---- */

static int calls;

static int count_call(void *arg)
{
    (void)arg;
    calls++;
    return 0;
}

static int run_with(void *arg)
{
    return weft_run_with("a", "1", count_call, arg);
}

static void a_run_whose_value_finds_no_memory_is_not_begun(void **state)
{
    (void)state;
    calls = 0;
    EXPECT(fail_each(run_with, NULL) >= 2);
    EXPECT_EQUAL(calls, 1);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static void never_to_be_released(void *pointer)
{
    (void)pointer;
    EXPECT_NOT_REACHED();
}

static int set_value(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    return weft_set("a", "2");
}

static int unset_value(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("b"), "1");
    return weft_unset("b");
}

static int change_captured(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set("b", "1"), 0);
    struct weft_context *captured = weft_capture();
    EXPECT(fail_each(set_value, NULL) >= 1);
    EXPECT_TEXT(weft_get("a"), "2");
    (void)weft_context_unref(captured);

    captured = weft_capture();
    EXPECT(fail_each(unset_value, NULL) >= 1);
    EXPECT_TEXT(weft_get("b"), NULL);
    (void)weft_context_unref(captured);

    captured = weft_capture();
    for (int failures = 0; failures < 2; failures++) {
        allocations_left = failures; /* the value itself, or the frame's copy */
        EXPECT_EQUAL(weft_set_pointer("a", arg, never_to_be_released), -ENOMEM);
        allocations_left = -1;
    }
    EXPECT_TEXT(weft_get("a"), "2");
    (void)weft_context_unref(captured);
    return 0;
}

static void a_value_that_finds_no_memory_leaves_the_context_as_it_was(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(change_captured, &state), 0);
}

static int make_frame(void *arg)
{
    const struct frame_entry entry = {.name = "a", .value = "1", .size = 1};
    struct weft_context *frame = NULL;
    int r = frame_new(&entry, 1, arg, NULL, &frame);

    EXPECT((r == 0) == (frame != NULL));
    (void)weft_context_unref(frame);
    return r;
}

static void a_seed_that_finds_no_memory_is_not_made(void **state)
{
    (void)state;
    EXPECT_EQUAL(fail_each(make_frame, NULL), 2);
}

/* ---- Scopes ---- */

/* So many need no memory. */
enum { SCOPES_AT_HAND = 8 };

static struct weft_scope at_hand[SCOPES_AT_HAND];

static void use_up_scopes(void)
{
    for (int i = 0; i < SCOPES_AT_HAND; i++)
        weft_scope_begin(&at_hand[i]);
}

static void end_scopes(void)
{
    for (int i = SCOPES_AT_HAND - 1; i >= 0; i--)
        EXPECT_EQUAL(weft_scope_end(&at_hand[i]), 0);
}

static int set_b(void *arg)
{
    (void)arg;
    return weft_set("b", "3");
}

static int seal(void *arg)
{
    struct weft_scope outer, sealed, ended = {0};

    (void)arg;
    use_up_scopes();
    weft_scope_begin(&outer);
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    allocations_left = 0;
    weft_scope_begin(&sealed);
    allocations_left = -1;
    EXPECT_EQUAL(weft_set("a", "2"), -ENOMEM); /* nothing would take it back */
    EXPECT_EQUAL(weft_scope_end(&ended), -EINVAL);
    EXPECT_EQUAL(weft_set("a", "2"), -ENOMEM);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_scope_end(&sealed), 0);
    EXPECT_EQUAL(weft_scope_end(&sealed), -EINVAL);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    allocations_left = 1; /* for the value, and not for the run, which has to begin all the same */
    EXPECT_EQUAL(weft_run(set_b, NULL), -ENOMEM);
    allocations_left = -1;
    EXPECT_TEXT(weft_get("b"), "2");
    EXPECT_EQUAL(weft_scope_end(&outer), 0);
    end_scopes();
    return weft_set("b", "2");
}

static int forget_sealed(void *arg)
{
    struct weft_scope outer, sealed;

    (void)arg;
    use_up_scopes();
    weft_scope_begin(&outer);
    allocations_left = 0;
    weft_scope_begin(&sealed);
    allocations_left = -1;
    EXPECT_EQUAL(weft_scope_end(&outer), 0);
    end_scopes();
    return weft_set("a", "1");
}

static void a_scope_that_finds_no_memory_lets_nothing_be_set_until_it_ends(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(seal, NULL), 0);
    EXPECT_EQUAL(weft_run(forget_sealed, NULL), 0);
}

/* ---- Tasks ---- */

static int spawn(void *arg)
{
    errno = 0;
    if (weft_spawn("task", count_call, arg))
        return 0;
    return errno == EAGAIN ? -ENOMEM : -errno; /* where it was a stack that found no memory */
}

static void count_callback(void *arg)
{
    (void)count_call(arg);
}

static int call_soon(void *arg)
{
    return weft_call_soon(count_callback, arg);
}

static int call_later(void *arg)
{
    return weft_call_later(1, count_callback, arg);
}

static int start_everything(void *arg)
{
    (void)arg;
    EXPECT(fail_each(spawn, NULL) >= 6);
    EXPECT(fail_each(call_soon, NULL) >= 1);
    EXPECT(fail_each(call_later, NULL) >= 2);
    return 0;
}

static void what_finds_no_memory_to_start_is_not_started(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    calls = 0;
    EXPECT_EQUAL(weft_run_with("a", "1", start_everything, NULL), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(calls, 3);
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1);
}

static int sleep_without_memory(void *arg)
{
    EXPECT_EQUAL(fail_each(sleep_a_little, arg), 1);
    return 0;
}

static void a_sleep_that_finds_no_memory_says_so(void **state)
{
    (void)state;
    loop_support_run(sleep_without_memory, NULL);
}

static int make_loop(void *base)
{
    struct weft_loop *loop = NULL;
    int r = weft_loop_new(base, &loop);

    EXPECT((r == 0) == (loop != NULL));
    (void)weft_loop_free(loop);
    return r;
}

static void a_loop_that_finds_no_memory_is_not_made(void **state)
{
    struct event_base *base = event_base_new();

    (void)state;
    EXPECT(fail_each(make_loop, base) >= 4);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_run_whose_value_finds_no_memory_is_not_begun),
        EXPECT_TEST(a_value_that_finds_no_memory_leaves_the_context_as_it_was),
        EXPECT_TEST(a_seed_that_finds_no_memory_is_not_made),
        EXPECT_TEST(a_scope_that_finds_no_memory_lets_nothing_be_set_until_it_ends),
        EXPECT_TEST(what_finds_no_memory_to_start_is_not_started),
        EXPECT_TEST(a_sleep_that_finds_no_memory_says_so),
        EXPECT_TEST(a_loop_that_finds_no_memory_is_not_made),
    };

    return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}
