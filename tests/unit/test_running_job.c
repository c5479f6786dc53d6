/* The running job: whose code a thread runs, as somebody outside can read it. */
#include "context/async/running_job.h"
#include "context/frame.h"
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
    running_job_install(&place);
    for (size_t owner = 0; owner < 2; owner++) {
        struct weft_context *context = context_of(owner);

        (void)weft_run_in(context, spawn, &fn);
        (void)weft_context_unref(context);
    }
    EXPECT_EQUAL(told(), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(told(), 0);
    running_job_install(NULL);
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

/* ---- Turns ---- */

static atomic_uintptr_t turns;

static void nothing(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* Code of the same job inside of this, and a loop of its own, are one run with it. */
static int runs_for_long(void *arg)
{
    uintptr_t before = atomic_load(&turns);
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, nothing, NULL);

    (void)arg;
    EXPECT_EQUAL(weft_run_with("name", "value", return_at_once, NULL), 0);
    EXPECT_EQUAL(weft_exit(return_at_once, NULL), 0);
    (void)event_add(event, &(struct timeval){0});
    EXPECT(event_base_dispatch(base) >= 0);
    event_free(event);
    event_base_free(base);
    EXPECT_EQUAL(atomic_load(&turns), before);
    EXPECT_EQUAL(told(), mine());

    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT(atomic_load(&turns) != before);
    return 0;
}

static void whoever_gives_the_loop_back_begins_another_run(void **state)
{
    (void)state;
    atomic_store(&turns, 0);
    running_job_count(&turns);
    run_as_both(runs_for_long);
    uintptr_t after = atomic_load(&turns);
    EXPECT(after >= 4);

    running_job_count(NULL);
    run_as_both(leaves);
    EXPECT_EQUAL(atomic_load(&turns), after);
}

static int is_kept_by_weft(void *arg)
{
    uintptr_t before = atomic_load(&turns), word = running_job_leave();

    (void)arg;
    EXPECT_EQUAL(told(), 0);
    running_job_return(word);
    EXPECT_EQUAL(told(), mine());
    EXPECT_EQUAL(atomic_load(&turns), before);
    return 0;
}

static void what_weft_keeps_waiting_runs_nobodys_code_and_goes_on_with_the_same_run(void **state)
{
    (void)state;
    running_job_count(&turns);
    run_as_both(is_kept_by_weft);
    running_job_count(NULL);
}

static int expect_own_running_job(void *arg)
{
    (void)arg;
    EXPECT(mine() != 0);
    EXPECT_EQUAL(running_job_get(), mine());
    return 0;
}

static int offloads(void *arg)
{
    int result;

    EXPECT_EQUAL(weft_offload(expect_own_running_job, arg, &result), 0);
    EXPECT_EQUAL(told(), mine());
    return 0;
}

static void threads_of_the_pool_have_running_jobs_of_their_own(void **state)
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
        EXPECT_TEST(whoever_gives_the_loop_back_begins_another_run),
        EXPECT_TEST(what_weft_keeps_waiting_runs_nobodys_code_and_goes_on_with_the_same_run),
        EXPECT_TEST(threads_of_the_pool_have_running_jobs_of_their_own),
    };

    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
