/* The stacks of tasks: as large as promised, guarded, reused, and given back. */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context/task/coroutine.h"
#include "context/task/stack.h"
#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

/* ---- Deep use ---- */

enum { DEEP = 200 * 1024 };

/* Fills most of the stack, lets others do the same, and finds it as it was. */
CHECKER_REAL_STACK static int fill_stack(void *arg)
{
    volatile unsigned char space[DEEP];
    unsigned char mine = (unsigned char)*(char *)arg;

    for (size_t i = 0; i < sizeof(space); i += 16)
        space[i] = mine;
    for (int turns = 0; turns < 3; turns++)
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
    for (size_t i = 0; i < sizeof(space); i += 16)
        if (space[i] != mine) {
            EXPECT_EQUAL(space[i], mine);
            break;
        }
    return mine;
}

static int fill_many(void *arg)
{
    static char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    enum { COUNT = sizeof(letters) - 1 };
    struct weft_task *tasks[COUNT];

    (void)arg;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++)
            tasks[i] = weft_spawn("fill", fill_stack, &letters[i]);
        for (size_t i = 0; i < COUNT; i++) {
            int result = 0;

            EXPECT_EQUAL(weft_join(tasks[i], &result), 0);
            EXPECT_EQUAL(result, letters[i]);
        }
    }
    return 0;
}

static void tasks_use_most_of_their_stacks_side_by_side(void **state)
{
    (void)state;
    loop_support_run(fill_many, NULL);
}

static int format_much(void *arg)
{
    char text[8192];

    (void)arg;
    (void)snprintf(text, sizeof(text), "%4000d %.3000f %s", 1, 1e300, "and many more words");
    EXPECT_EQUAL(strlen(text) < sizeof(text), 1);
    return 0;
}

static void the_c_library_has_room_on_a_tasks_stack(void **state)
{
    (void)state;
    loop_support_run(format_much, NULL);
}

/* ---- Overflow ---- */

/* More than a stack has, so that the child ends well, and the test fails, where nothing stops it. */
enum { TOO_DEEP = 2 * 256 * 1024, SMALL_FRAME = 1024, LARGE_FRAME = 48 * 1024 };

/* Each frame looks at its caller's, so that no compiler makes a loop of it. */
CHECKER_REAL_STACK static int recurse(int left, const volatile char *caller)
{
    volatile char frame[SMALL_FRAME];

    frame[0] = (char)(left + *caller);
    if (left > SMALL_FRAME)
        frame[1] = (char)recurse(left - SMALL_FRAME, frame);
    return frame[0];
}

/* Touches only the far end of each frame, as a function does that calls another before it uses its large buffer. */
CHECKER_REAL_STACK static int recurse_in_leaps(int left, const volatile char *caller)
{
    volatile char frame[LARGE_FRAME];

    frame[0] = (char)(left + *caller);
    if (left > LARGE_FRAME)
        frame[0] = (char)(frame[0] + recurse_in_leaps(left - LARGE_FRAME, frame));
    return frame[0];
}

static int step_by_step(void *arg)
{
    (void)arg;
    return recurse(TOO_DEEP, "");
}

static int in_leaps(void *arg)
{
    (void)arg;
    return recurse_in_leaps(TOO_DEEP, "");
}

static int stay(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1);
}

/* Runs `overflow` on a stack that has neighbours on both sides, which are mapped. */
static int overflow_among_others(int (*overflow)(void *arg))
{
    for (int i = 0; i < 8; i++)
        EXPECT(weft_spawn("neighbour", i == 4 ? overflow : stay, NULL) != NULL);
    return 0;
}

static int overflow_step_by_step(void *arg)
{
    (void)arg;
    return overflow_among_others(step_by_step);
}

static int overflow_in_leaps(void *arg)
{
    (void)arg;
    return overflow_among_others(in_leaps);
}

/* Gives the wait status of a child in which `fn` was run as a task. */
static int status_of_child(int (*fn)(void *arg))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        loop_support_run(fn, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_to_die_of_overflow(int (*fn)(void *arg))
{
    int status = status_of_child(fn);

    EXPECT(WIFSIGNALED(status));
    EXPECT_EQUAL(WTERMSIG(status), SIGSEGV);
}

static void a_task_that_recurses_for_ever_is_stopped_by_a_signal(void **state)
{
    (void)state;
    expect_to_die_of_overflow(overflow_step_by_step);
}

static void a_large_frame_does_not_step_over_the_guard(void **state)
{
    (void)state;
    expect_to_die_of_overflow(overflow_in_leaps);
}

/* ---- No more stacks ---- */

static int wait_for_turn(void *done)
{
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    ++*(int *)done;
    return 0;
}

static int spawn_until_refused(void *arg)
{
    int started = 0, done = 0;

    (void)arg;
    while (started < 100000 && weft_spawn("many", wait_for_turn, &done))
        started++;
    bool refused = started < 100000 && (errno == EAGAIN || errno == ENOMEM);
    while (done < started)
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
    bool works_again = weft_join(weft_spawn("one more", wait_for_turn, &done), NULL) == 0;
    _exit(refused && works_again && started > 100 && atomic_load(&expect_failures) == 0 ? 0 : 1);
}

static int run_short_of_memory(void *arg)
{
    if (setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = 512 << 20, .rlim_max = 512 << 20}) < 0)
        return -errno;
    return spawn_until_refused(arg);
}

static void tasks_are_refused_where_there_is_no_room_for_their_stacks(void **state)
{
    (void)state;
    if (checker_is_watching())
        skip();
    EXPECT_EQUAL(status_of_child(run_short_of_memory), 0);
}

/* ---- Idle stacks ---- */

struct used {
    char *top;
    bool again;
};

CHECKER_REAL_STACK static void use_stack(void *arg)
{
    volatile char space[DEEP];
    struct used *used = arg;

    for (size_t i = 0; i < sizeof(space); i += 64)
        space[i] = 1;
    used->top = (char *)space + sizeof(space);
    used->again = used->again || space[64] == 1;
}

/* Pages of the DEEP bytes below `top` that are in memory. */
static int resident_pages(const char *top)
{
    static unsigned char pages[DEEP];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t bottom = ((uintptr_t)top - DEEP + page - 1) / page * page;
    size_t count = ((uintptr_t)top - bottom) / page;
    int resident = 0;

    assert_int_equal(mincore((void *)bottom, count * page, pages), 0);
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

/* What a loop does every second. */
static enum coroutine_rest pass_period(struct coroutine_pool *pool)
{
    enum coroutine_rest rest;

    coroutine_pool_age(pool);
    do
        rest = coroutine_pool_trim(pool);
    while (rest == COROUTINE_REST_OLD);
    return rest;
}

static void an_idle_stack_gives_its_depths_back_and_can_be_used_again(void **state)
{
    struct coroutine_pool *pool = NULL;
    struct coroutine *coroutine = NULL, *same = NULL;
    struct used used = {0};

    (void)state;
    assert_int_equal(coroutine_pool_new(256 * 1024, &pool), 0);
    EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_NONE);
    assert_int_equal(coroutine_get(pool, use_stack, &used, &coroutine), 0);
    coroutine_resume(coroutine);
    coroutine_put(pool, coroutine);
    EXPECT(resident_pages(used.top) > 40);
    EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_YOUNG);
    EXPECT(resident_pages(used.top) > 40); /* it might still be wanted */
    EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_NONE);
    EXPECT(resident_pages(used.top) < 10);

    used.again = false;
    assert_int_equal(coroutine_get(pool, use_stack, &used, &same), 0);
    EXPECT(same == coroutine);
    coroutine_resume(same);
    EXPECT(used.again);
    coroutine_put(pool, same);
    (void)pass_period(pool);
    EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_NONE);
    EXPECT(resident_pages(used.top) < 10);
    EXPECT(coroutine_pool_free(pool) == NULL);
    EXPECT(coroutine_pool_free(NULL) == NULL);
}

/* ---- After a peak ---- */

static bool is_mapped(const void *address)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident;

    return mincore((void *)((uintptr_t)address / page * page), 1, &resident) == 0;
}

static void note_address(void *arg)
{
    char **place = arg;

    *place = __builtin_frame_address(0);
}

enum { PEAK = 1000 };

/* Where the stacks are of so many coroutines at once. */
static void use_many(struct coroutine_pool *pool, char **places, size_t count)
{
    struct coroutine *coroutines[PEAK];

    for (size_t i = 0; i < count; i++)
        assert_int_equal(coroutine_get(pool, note_address, &places[i], &coroutines[i]), 0);
    for (size_t i = 0; i < count; i++)
        coroutine_resume(coroutines[i]);
    for (size_t i = 0; i < count; i++)
        coroutine_put(pool, coroutines[i]);
}

static size_t count_mapped(char *const *places, size_t count)
{
    size_t mapped = 0;

    for (size_t i = 0; i < count; i++)
        mapped += is_mapped(places[i]);
    return mapped;
}

static void stacks_that_a_peak_has_left_are_unmapped_but_for_a_reserve(void **state)
{
    static char *places[PEAK], *again[PEAK];
    struct coroutine_pool *pool = NULL;

    (void)state;
    if (checker_is_watching())
        skip(); /* fakes stacks, or keeps what is freed */
    assert_int_equal(coroutine_pool_new(256 * 1024, &pool), 0);
    use_many(pool, places, PEAK);
    EXPECT_EQUAL(count_mapped(places, PEAK), PEAK);
    (void)pass_period(pool);
    EXPECT_EQUAL(count_mapped(places, PEAK), PEAK);
    EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_NONE);
    EXPECT(count_mapped(places, PEAK) >= COROUTINES_KEPT);
    EXPECT(count_mapped(places, PEAK) < 3 * COROUTINES_KEPT);

    use_many(pool, again, PEAK);
    EXPECT_EQUAL(count_mapped(again, PEAK), PEAK);
    EXPECT(coroutine_pool_free(pool) == NULL);
    EXPECT_EQUAL(count_mapped(again, PEAK), 0);
}

static void coroutines_that_are_used_in_every_period_are_kept(void **state)
{
    static char *places[PEAK], *again[PEAK];
    struct coroutine_pool *pool = NULL;

    (void)state;
    assert_int_equal(coroutine_pool_new(256 * 1024, &pool), 0);
    use_many(pool, places, 300);
    for (int period = 0; period < 5; period++) {
        EXPECT_EQUAL(pass_period(pool), COROUTINE_REST_YOUNG);
        use_many(pool, again, 300);
    }
    EXPECT_EQUAL(count_mapped(places, 300), 300);
    EXPECT(coroutine_pool_free(pool) == NULL);
}

static void a_slab_stays_while_one_of_its_stacks_is_out(void **state)
{
    enum { COUNT = 160 };
    struct stack_pool *pool = NULL;
    struct stack *stacks[COUNT];
    char *bottoms[COUNT];

    (void)state;
    assert_int_equal(stack_pool_new(10000, &pool), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(stack_pool_get(pool, &stacks[i]), 0);
        memset(stacks[i]->bottom, 1, stacks[i]->size);
        bottoms[i] = stacks[i]->bottom;
    }
    for (size_t i = 0; i < COUNT; i++)
        if (i != COUNT / 2)
            stack_pool_put(pool, stacks[i]);
    stack_pool_trim(pool);
    EXPECT_EQUAL(stacks[COUNT / 2]->bottom[0], 1);
    /* Its own slab, and the one whose last stack came back last. */
    EXPECT_EQUAL(count_mapped(bottoms, COUNT), checker_is_watching() ? count_mapped(bottoms, COUNT) : 32);

    struct stack *other = NULL;
    assert_int_equal(stack_pool_get(pool, &other), 0);
    EXPECT_EQUAL(other->bottom[0], 0); /* its memory was given back */
    stack_pool_put(pool, other);
    stack_pool_put(pool, stacks[COUNT / 2]);
    EXPECT(stack_pool_free(pool) == NULL);
}

static void stacks_do_not_overlap(void **state)
{
    enum { COUNT = 100 };
    struct stack_pool *pool = NULL;
    struct stack *stacks[COUNT], *again = NULL;

    (void)state;
    assert_int_equal(stack_pool_new(10000, &pool), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(stack_pool_get(pool, &stacks[i]), 0);
        EXPECT(stacks[i]->size >= 10000);
        memset(stacks[i]->bottom, (int)i, stacks[i]->size);
    }
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT_EQUAL((unsigned char)stacks[i]->bottom[0], i);
        EXPECT_EQUAL((unsigned char)stacks[i]->bottom[stacks[i]->size - 1], i);
    }
    for (size_t i = 0; i < COUNT; i++)
        stack_pool_put(pool, stacks[i]);
    assert_int_equal(stack_pool_get(pool, &again), 0);
    EXPECT(again == stacks[COUNT - 1]); /* the last that came back is the warmest */
    stack_pool_put(pool, again);
    EXPECT(stack_pool_free(pool) == NULL);
    EXPECT(stack_pool_free(NULL) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(tasks_use_most_of_their_stacks_side_by_side),
        EXPECT_TEST(the_c_library_has_room_on_a_tasks_stack),
        EXPECT_TEST(a_task_that_recurses_for_ever_is_stopped_by_a_signal),
        EXPECT_TEST(a_large_frame_does_not_step_over_the_guard),
        EXPECT_TEST(tasks_are_refused_where_there_is_no_room_for_their_stacks),
        EXPECT_TEST(an_idle_stack_gives_its_depths_back_and_can_be_used_again),
        EXPECT_TEST(stacks_that_a_peak_has_left_are_unmapped_but_for_a_reserve),
        EXPECT_TEST(coroutines_that_are_used_in_every_period_are_kept),
        EXPECT_TEST(a_slab_stays_while_one_of_its_stacks_is_out),
        EXPECT_TEST(stacks_do_not_overlap),
    };

    return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
