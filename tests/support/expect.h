/*
 * Expectations that may fail anywhere: on a task's stack, on a thread of the pool, inside a run. cmocka's own
 * assertions leave by longjmp, which from there would tear stacks and contexts apart; these note the failure and go on,
 * and the test fails at its end.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/context.h>
#include <weft/task.h>

/* Of one test, so many failures are shown. */
enum { EXPECT_SHOWN_MAX = 10 };

static atomic_int expect_failures;

#define EXPECT(condition)            expect_true((condition), #condition, __FILE__, __LINE__)
#define EXPECT_EQUAL(actual, wanted) expect_equal((intmax_t)(actual), (intmax_t)(wanted), #actual, __FILE__, __LINE__)
#define EXPECT_TEXT(actual, wanted)  expect_text((actual), (wanted), #actual, __FILE__, __LINE__)

#define EXPECT_NOT_REACHED() expect_fail(__FILE__, __LINE__, "this is not to be reached")

static inline void expect_fail(const char *file, int line, const char *format, ...) CMOCKA_PRINTF_ATTRIBUTE(3, 4);

static inline void expect_fail(const char *file, int line, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (atomic_fetch_add(&expect_failures, 1) < EXPECT_SHOWN_MAX)
        (void)fprintf(stderr, "%s:%d: %s\n", file, line, message);
}

static inline void expect_true(bool holds, const char *words, const char *file, int line)
{
    if (!holds)
        expect_fail(file, line, "does not hold: %s", words);
}

static inline void expect_equal(intmax_t actual, intmax_t wanted, const char *words, const char *file, int line)
{
    if (actual != wanted)
        expect_fail(file, line, "%s is %jd, not %jd", words, actual, wanted);
}

/* NULL equals NULL only. */
static inline void expect_text(const char *actual, const char *wanted, const char *words, const char *file, int line)
{
    if (actual && wanted ? strcmp(actual, wanted) != 0 : actual != wanted)
        expect_fail(file, line, "%s is \"%s\", not \"%s\"", words, actual ? actual : "(NULL)",
                    wanted ? wanted : "(NULL)");
}

/* To be called on the test's own stack when everything that it began is over. */
static inline void expect_nothing_is_left(void)
{
    EXPECT_EQUAL(weft_contexts_alive(), 0);
    EXPECT_EQUAL(weft_tasks_alive(), 0);
    EXPECT(weft_task_current() == NULL);
    int failures = atomic_exchange(&expect_failures, 0);
    if (failures > 0)
        fail_msg("%d expectation(s) failed; see above", failures);
}

static inline int expect_teardown(void **state)
{
    (void)state;
    expect_nothing_is_left();
    return 0;
}

/* A test after which no context and no task may be alive. */
#define EXPECT_TEST(function_) cmocka_unit_test_teardown(function_, expect_teardown)
