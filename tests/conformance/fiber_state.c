/* What a thread has besides its stack: each fiber has its own. */
#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <locale.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tests/conformance/harness.h"
#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

enum { TASKS = 6, TURNS = 10 };

static int number_of(const void *arg)
{
    return *(const int *)arg;
}

/* Several at once, a second time on the stacks of the first. */
static int run_side_by_side(void *fn)
{
    static int numbers[TASKS] = {0, 1, 2, 3, 4, 5};
    int (*task)(void *) = NULL;
    struct weft_task *tasks[TASKS];

    memcpy(&task, fn, sizeof(task));
    for (int time = 0; time < 2; time++) {
        for (int i = 0; i < TASKS; i++)
            EXPECT((tasks[i] = weft_spawn("task", task, &numbers[i])) != NULL);
        for (int i = 0; i < TASKS; i++)
            EXPECT_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    return 0;
}

static void run(int (*task)(void *))
{
    loop_support_run(run_side_by_side, &task);
}

/* ---- errno ---- */

static int keep_errno(void *arg)
{
    EXPECT_EQUAL(errno, 0);
    for (int i = 0; i < TURNS; i++) {
        errno = 1000 + number_of(arg);
        EXPECT_EQUAL(weft_sleep_ms(i % 3 == 0), 0);
        EXPECT_EQUAL(errno, 1000 + number_of(arg));
    }
    return 0;
}

static void a_wait_that_succeeds_leaves_errno_as_it_is(void)
{
    run(keep_errno);
}

/* ---- Floating point ---- */

static const int directions[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

/* What the processor does, whatever it says. */
static void expect_direction(int direction)
{
    volatile double one = 1, little = 0x1p-60;
    volatile long double lone = 1, llittle = 0x1p-80L;

    EXPECT_EQUAL(fegetround(), direction);
    if (RUNNING_ON_VALGRIND) /* whose processor rounds to nearest, whatever it is told */
        return;
    EXPECT_EQUAL(one + little > 1, direction == FE_UPWARD);
    EXPECT_EQUAL(-one - little < -1, direction == FE_DOWNWARD);
    EXPECT_EQUAL(one - little < 1, direction == FE_DOWNWARD || direction == FE_TOWARDZERO);
    if (LDBL_MANT_DIG > DBL_MANT_DIG)
        EXPECT_EQUAL(lone + llittle > 1, direction == FE_UPWARD);
}

static int round_in_a_direction(void *arg)
{
    int direction = directions[number_of(arg) % 4];

    expect_direction(FE_TONEAREST);
    EXPECT_EQUAL(fesetround(direction), 0);
    for (int i = 0; i < TURNS; i++) {
        EXPECT_EQUAL(weft_sleep_ms(i % 3 == 0), 0);
        expect_direction(direction);
    }
    return 0; /* and leaves it so */
}

static void see_to_nearest(void *arg)
{
    (void)arg;
    expect_direction(FE_TONEAREST);
}

static int round_beside_callbacks(void *arg)
{
    EXPECT_EQUAL(fesetround(FE_UPWARD), 0);
    EXPECT_EQUAL(weft_call_soon(see_to_nearest, arg), 0);
    EXPECT_EQUAL(weft_sleep_ms(2), 0);
    expect_direction(FE_UPWARD);
    return 0;
}

static void each_task_rounds_in_its_own_direction(void)
{
    run(round_in_a_direction);
    expect_direction(FE_TONEAREST);
    loop_support_run(round_beside_callbacks, NULL);
    expect_direction(FE_TONEAREST);
}

static int see_downward(void *arg)
{
    (void)arg;
    expect_direction(FE_DOWNWARD);
    return 0;
}

static int spawn_rounding(void *arg)
{
    EXPECT_EQUAL(fesetround(FE_DOWNWARD), 0);
    struct weft_task *task = weft_spawn("task", see_downward, arg);
    EXPECT_EQUAL(fesetround(FE_UPWARD), 0);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    expect_direction(FE_UPWARD);
    return 0;
}

static void a_task_begins_as_the_code_that_spawned_it_rounds(void)
{
    loop_support_run(spawn_rounding, NULL);
    expect_direction(FE_TONEAREST);
}

#if defined(__x86_64__)
/* Of SSE only, which fegetround() does not see. */
static int flush_to_zero(void *arg)
{
    unsigned mode = number_of(arg) % 2 ? _MM_FLUSH_ZERO_ON : _MM_FLUSH_ZERO_OFF;

    EXPECT_EQUAL(_MM_GET_FLUSH_ZERO_MODE(), _MM_FLUSH_ZERO_OFF);
    _MM_SET_FLUSH_ZERO_MODE(mode);
    for (int i = 0; i < TURNS; i++) {
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
        EXPECT_EQUAL(_MM_GET_FLUSH_ZERO_MODE(), mode);
    }
    return 0;
}
#endif

static void each_task_flushes_denormals_for_itself(void)
{
#if defined(__x86_64__)
    if (RUNNING_ON_VALGRIND)
        return;
    run(flush_to_zero);
    EXPECT_EQUAL(_MM_GET_FLUSH_ZERO_MODE(), _MM_FLUSH_ZERO_OFF);
#endif
}

/* ---- Locales ---- */

static int use_a_locale(void *arg)
{
    locale_t own = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    EXPECT(own != (locale_t)0);
    EXPECT(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    if (number_of(arg) % 3 != 0)
        EXPECT(uselocale(own) == LC_GLOBAL_LOCALE);
    for (int i = 0; i < TURNS; i++) {
        EXPECT_EQUAL(weft_sleep_ms(i % 3 == 0), 0);
        EXPECT(uselocale((locale_t)0) == (number_of(arg) % 3 != 0 ? own : LC_GLOBAL_LOCALE));
    }
    /* A task that leaves its own in use does so for itself alone; it may not free it then. */
    EXPECT(uselocale(LC_GLOBAL_LOCALE) != (locale_t)0);
    freelocale(own);
    return 0;
}

static int leave_a_locale(void *locale)
{
    EXPECT(uselocale(*(locale_t *)locale) == LC_GLOBAL_LOCALE);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(uselocale((locale_t)0) == *(locale_t *)locale);
    return 0;
}

static void each_task_has_its_own_locale(void)
{
    run(use_a_locale);
    EXPECT(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);

    locale_t left = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    loop_support_run(leave_a_locale, &left);
    EXPECT(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    freelocale(left);
}

static int see_the_loops_locale(void *locale)
{
    EXPECT(uselocale((locale_t)0) == *(locale_t *)locale);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(uselocale((locale_t)0) == *(locale_t *)locale);
    EXPECT(uselocale(LC_GLOBAL_LOCALE) == *(locale_t *)locale);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    return 0;
}

static void a_task_begins_in_the_locale_of_its_loops_thread(void)
{
    locale_t of_thread = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    EXPECT(uselocale(of_thread) == LC_GLOBAL_LOCALE);
    loop_support_run(see_the_loops_locale, &of_thread);
    EXPECT(uselocale(LC_GLOBAL_LOCALE) == of_thread);
    freelocale(of_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(a_wait_that_succeeds_leaves_errno_as_it_is),
        CONFORMANCE_CASE(each_task_rounds_in_its_own_direction),
        CONFORMANCE_CASE(a_task_begins_as_the_code_that_spawned_it_rounds),
        CONFORMANCE_CASE(each_task_flushes_denormals_for_itself),
        CONFORMANCE_CASE(each_task_has_its_own_locale),
        CONFORMANCE_CASE(a_task_begins_in_the_locale_of_its_loops_thread),
    };

    return cmocka_run_group_tests_name("fiber_state", tests, NULL, NULL);
}
