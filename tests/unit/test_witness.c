/* The witness: whose code a thread runs, as somebody outside can read it. */
#include "context/frame.h"
#include "context/witness.h"
#include "tests/support/loop_support.h"

static atomic_uintptr_t place;
static int owners[2];

static uintptr_t identity(size_t owner)
{
    return (uintptr_t)&owners[owner];
}

static uintptr_t told(void)
{
    return atomic_load(&place);
}

static struct weft_context *context_of(size_t owner)
{
    struct weft_context *context;

    assert_int_equal(frame_new(NULL, 0, &owners[owner], NULL, &context), 0);
    return context;
}

static int spawn(void *arg)
{
    int (*const *fn)(void *) = arg;

    EXPECT(weft_spawn("task", *fn, NULL) != NULL);
    return 0;
}

/* Runs `fn` as two tasks, each in a context that one of the owners owns. */
static void run_as_both(int (*fn)(void *arg))
{
    struct loop_support support = loop_support_begin();

    atomic_store(&place, 0);
    witness_install(&place);
    for (size_t owner = 0; owner < 2; owner++) {
        struct weft_context *context = context_of(owner);

        (void)weft_run_in(context, spawn, &fn);
        (void)weft_context_unref(context);
    }
    EXPECT_EQUAL(told(), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(told(), 0);
    witness_install(NULL);
}

static uintptr_t mine(void)
{
    struct weft_context *context = weft_capture();
    uintptr_t owner = (uintptr_t)frame_owner(context);
    (void)weft_context_unref(context);
    return owner;
}

static int takes_turns(void *arg)
{
    uintptr_t self = mine();

    (void)arg;
    EXPECT(self == identity(0) || self == identity(1));
    for (int turn = 0; turn < 5; turn++) {
        EXPECT_EQUAL(told(), self);
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
    }
    EXPECT_EQUAL(told(), self);
    return 0;
}

static void tasks_that_take_turns_are_told_apart(void **state)
{
    (void)state;
    run_as_both(takes_turns);
}

static int expect_left(void *arg)
{
    EXPECT_EQUAL(mine(), 0);
    EXPECT_EQUAL(told(), *(uintptr_t *)arg);
    return 0;
}

static int leaves(void *arg)
{
    uintptr_t self = mine();

    (void)arg;
    EXPECT_EQUAL(weft_exit(expect_left, &self), 0);
    EXPECT_EQUAL(told(), self);
    return 0;
}

static void code_that_leaves_its_context_is_still_its_tasks(void **state)
{
    (void)state;
    run_as_both(leaves);
}

static void expect_told(void *arg)
{
    EXPECT(mine() != 0);
    EXPECT_EQUAL(told(), mine());
    (void)arg;
}

static int schedules(void *arg)
{
    EXPECT_EQUAL(weft_call_soon(expect_told, arg), 0);
    EXPECT_EQUAL(weft_call_later(1, expect_told, arg), 0);
    return 0;
}

static void callbacks_are_told(void **state)
{
    (void)state;
    run_as_both(schedules);
}

static void expect_release_told(void *pointer)
{
    EXPECT_EQUAL(mine(), 0);
    EXPECT_EQUAL(told(), (uintptr_t)pointer);
}

static int leaves_pointer(void *arg)
{
    (void)arg;
    return weft_set_pointer("pointer", (void *)mine(), expect_release_told);
}

static void what_a_task_leaves_to_be_released_is_its_own_doing(void **state)
{
    (void)state;
    run_as_both(leaves_pointer);
}

static int expect_own_witness(void *arg)
{
    (void)arg;
    EXPECT(mine() != 0);
    EXPECT_EQUAL(witness_told(), mine());
    return 0;
}

static int offloads(void *arg)
{
    int result;

    EXPECT_EQUAL(weft_offload(expect_own_witness, arg, &result), 0);
    EXPECT_EQUAL(told(), mine());
    return 0;
}

static void threads_of_the_pool_have_witnesses_of_their_own(void **state)
{
    (void)state;
    run_as_both(offloads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(tasks_that_take_turns_are_told_apart),
        EXPECT_TEST(code_that_leaves_its_context_is_still_its_tasks),
        EXPECT_TEST(callbacks_are_told),
        EXPECT_TEST(what_a_task_leaves_to_be_released_is_its_own_doing),
        EXPECT_TEST(threads_of_the_pool_have_witnesses_of_their_own),
    };

    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
