/*
 * The conformance suite: what an AsyncLocalStorage has to keep to, collected from the tests of Node, TC39's
 * AsyncContext, OpenTelemetry, folly, cls-hooked and Python's contextvars. The numbers are those of the catalogue that
 * the suite was drawn from, and docs/CONTEXT.md says of each what Node does and what weft does; failures are those that
 * other systems' users have met.
 *
 * Each case is run three times, because a context that is empty, one that is nobody else's and one that is shared take
 * different ways through the code: at the root, inside a run, and inside a captured context. It must leave everything
 * as it found it, and afterwards no context and no task may be alive.
 */
#pragma once

#include "tests/support/expect.h"

struct harness_case {
    void (*run)(void);
};

static inline int harness_call(void *arg)
{
    const struct harness_case *test = arg;

    test->run();
    return 0;
}

static inline void harness_at_the_root(void **state)
{
    (void)harness_call(*state);
    EXPECT(weft_capture() == NULL);
}

static inline int harness_call_and_look(void *arg)
{
    struct weft_context *before = weft_capture();

    (void)harness_call(arg);
    struct weft_context *after = weft_capture();
    EXPECT(after == before);
    EXPECT_TEXT(weft_get("harness"), "1");
    (void)weft_context_unref(after);
    (void)weft_context_unref(before);
    return 0;
}

static inline int harness_call_unshared(void *arg)
{
    (void)harness_call(arg);
    EXPECT_TEXT(weft_get("harness"), "1");
    return 0;
}

static inline void harness_in_a_run(void **state)
{
    EXPECT_EQUAL(weft_run_with("harness", "1", harness_call_unshared, *state), 0);
}

static inline int harness_capture(void *ret_context)
{
    *(struct weft_context **)ret_context = weft_capture();
    return 0;
}

static inline void harness_in_a_captured_context(void **state)
{
    struct weft_context *context = NULL;

    EXPECT_EQUAL(weft_run_with("harness", "1", harness_capture, &context), 0);
    EXPECT_EQUAL(weft_run_in(context, harness_call_and_look, *state), 0);
    (void)weft_context_unref(context);
}

#define HARNESS_TEST(case_, way_)                                                                                      \
    {                                                                                                                  \
#case_ "," #way_, harness_##way_, NULL, expect_teardown, &(struct harness_case)                                \
        {                                                                                                              \
            case_                                                                                                      \
        }                                                                                                              \
    }

#define CONFORMANCE_CASE(case_)                                                                                        \
    HARNESS_TEST(case_, at_the_root), HARNESS_TEST(case_, in_a_run), HARNESS_TEST(case_, in_a_captured_context)

/* Captured contexts and values of `a` and `b`, as most cases use them. */
static inline void harness_expect(const char *a, const char *b)
{
    EXPECT_TEXT(weft_get("a"), a);
    EXPECT_TEXT(weft_get("b"), b);
}
