/* Cancellation and time-outs: values that waits give, and that stick. */
#include <stdlib.h>
#include <unistd.h>

#include "context/task/task.h"
#include "tests/support/loop_support.h"

/* Each kind of wait, none of which would end by itself. */
static int pipe_ends[2];
static struct weft_future never_done;

static int wait_by_sleep(void *arg)
{
    (void)arg;
    return weft_sleep_ms(3600 * 1000);
}

static int wait_by_fd(void *arg)
{
    (void)arg;
    return weft_wait_fd(pipe_ends[0], WEFT_READ, -1);
}

static int wait_by_future(void *arg)
{
    return weft_future_wait(&never_done, arg);
}

static int wait_by_join(void *arg)
{
    struct weft_task *sleeper = weft_spawn("sleep", wait_by_sleep, NULL);
    int r = weft_join(sleeper, arg);

    weft_cancel(sleeper);
    return r;
}

static int (*const kinds_of_wait[])(void *arg) = {wait_by_sleep, wait_by_fd, wait_by_future, wait_by_join};
enum { KINDS = sizeof(kinds_of_wait) / sizeof(*kinds_of_wait) };

static int open_pipe(void **state)
{
    (void)state;
    weft_future_init(&never_done);
    return pipe(pipe_ends);
}

static int close_pipe(void **state)
{
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    return expect_teardown(state);
}

static int cancel_waiting(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        struct weft_task *task = weft_spawn("wait", kinds_of_wait[i], NULL);
        int result = 0;

        EXPECT_EQUAL(weft_sleep_ms(1), 0);
        weft_cancel(task);
        weft_cancel(task);
        EXPECT_EQUAL(weft_join(task, &result), 0);
        EXPECT_EQUAL(result, -ECANCELED);
    }
    return 0;
}

static void every_wait_ends_when_its_task_is_cancelled(void **state)
{
    (void)state;
    loop_support_run(cancel_waiting, NULL);
    EXPECT(never_done.waiter == NULL);
}

static int cancel_before_begin(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        struct weft_task *task = weft_spawn("wait", kinds_of_wait[i], NULL);
        int result = 0;

        weft_cancel(task);
        EXPECT_EQUAL(weft_join(task, &result), 0);
        EXPECT_EQUAL(result, -ECANCELED);
    }
    return 0;
}

static void a_task_cancelled_before_it_begins_runs_and_its_first_wait_says_so(void **state)
{
    (void)state;
    loop_support_run(cancel_before_begin, NULL);
}

/* ---- Sticky ---- */

static int not_to_be_called(void *arg)
{
    (void)arg;
    EXPECT_NOT_REACHED();
    return 0;
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* Every wait gives `error`, also those that would have nothing to wait for. */
static void expect_all_waits_to_give(int error)
{
    struct weft_future done = {.done = true, .result = 1};
    int result = 55;

    for (int round = 0; round < 2; round++) {
        errno = 0;
        EXPECT_EQUAL(weft_sleep_ms(0), error);
        EXPECT_EQUAL(errno, -error);
        EXPECT_EQUAL(weft_sleep_ms(1), error);
        EXPECT_EQUAL(weft_wait_fd(pipe_ends[1], WEFT_WRITE, -1), error);
        EXPECT_EQUAL(weft_future_wait(&done, &result), error);
        EXPECT_EQUAL(weft_offload(not_to_be_called, NULL, &result), error);
        EXPECT_EQUAL(weft_join(weft_spawn("end", end_at_once, NULL), &result), error);
    }
    EXPECT_EQUAL(result, 55);
}

static int cancel_oneself(void *arg)
{
    (void)arg;
    weft_cancel(weft_task_current());
    expect_all_waits_to_give(-ECANCELED);
    return 0;
}

static void a_cancellation_is_given_by_every_later_wait(void **state)
{
    (void)state;
    loop_support_run(cancel_oneself, NULL);
}

static int run_out_of_time(void *arg)
{
    (void)arg;
    task_interrupt(weft_task_current(), -ETIME);
    expect_all_waits_to_give(-ETIME);
    weft_cancel(weft_task_current());
    expect_all_waits_to_give(-ECANCELED);
    task_interrupt(weft_task_current(), -ETIME);
    expect_all_waits_to_give(-ECANCELED);
    return 0;
}

static void a_cancellation_outranks_a_time_out(void **state)
{
    (void)state;
    loop_support_run(run_out_of_time, NULL);
}

static int child_of_cancelled(void *arg)
{
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    return *(int *)arg;
}

static int spawn_while_cancelled(void *arg)
{
    weft_cancel(weft_task_current());
    EXPECT(weft_spawn("child", child_of_cancelled, arg) != NULL);
    return 0;
}

static void a_cancellation_does_not_reach_what_the_task_started(void **state)
{
    int result = 1;

    (void)state;
    loop_support_run(spawn_while_cancelled, &result);
}

/* ---- Who is first ---- */

struct race {
    struct weft_future future;
    struct weft_task *waiter;
    bool cancel_first;
};

static int wait_for_race(void *arg)
{
    int result = 55;
    int r = weft_future_wait(&((struct race *)arg)->future, &result);

    EXPECT_EQUAL(result, 55);
    return r;
}

/* The waiter is woken, and then cancelled (or the other way round) before it has its turn. */
static int wake_and_cancel(void *arg)
{
    struct race *race = arg;
    int result = 0;

    race->waiter = weft_spawn("wait", wait_for_race, race);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    if (race->cancel_first)
        weft_cancel(race->waiter);
    weft_future_complete(&race->future, 1);
    weft_cancel(race->waiter);
    EXPECT_EQUAL(weft_join(race->waiter, &result), 0);
    EXPECT_EQUAL(result, -ECANCELED);
    EXPECT(race->future.done && race->future.waiter == NULL);
    return 0;
}

static void a_task_that_is_woken_and_cancelled_in_one_turn_is_cancelled(void **state)
{
    struct race first = {.cancel_first = true}, second = {.cancel_first = false};

    (void)state;
    loop_support_run(wake_and_cancel, &first);
    loop_support_run(wake_and_cancel, &second);
}

static int end_both(void *arg)
{
    struct weft_task *tasks[2];
    int result = 0;

    (void)arg;
    tasks[0] = weft_spawn("sleep", wait_by_sleep, NULL);
    tasks[1] = weft_spawn("join", wait_by_join, &result);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    weft_cancel(tasks[0]);
    weft_cancel(tasks[1]);
    EXPECT_EQUAL(weft_join(tasks[1], &result), 0);
    EXPECT_EQUAL(result, -ECANCELED);
    EXPECT_EQUAL(weft_join(tasks[0], &result), 0);
    EXPECT_EQUAL(result, -ECANCELED);
    return 0;
}

static void joiner_and_joined_may_be_cancelled_together(void **state)
{
    (void)state;
    loop_support_run(end_both, NULL);
}

/* ---- Futures that are let go ---- */

static int wait_twice(void *arg)
{
    struct weft_future *future = arg;
    int result = 0;
    struct weft_task *first = weft_spawn("wait", wait_by_future, NULL);

    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_EQUAL(weft_future_wait(future, &result), -EBUSY);
    EXPECT_EQUAL(errno, EBUSY);
    weft_cancel(first);
    EXPECT_EQUAL(weft_join(first, &result), 0);
    EXPECT_EQUAL(result, -ECANCELED);
    weft_future_complete(future, 3);
    EXPECT_EQUAL(weft_future_wait(future, &result), 0);
    EXPECT_EQUAL(result, 3);
    return 0;
}

static void a_future_that_a_cancelled_task_let_go_can_be_waited_for_by_another(void **state)
{
    (void)state;
    loop_support_run(wait_twice, &never_done);
}

#define INTERRUPT_TEST(function_) cmocka_unit_test_setup_teardown(function_, open_pipe, close_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTERRUPT_TEST(every_wait_ends_when_its_task_is_cancelled),
        INTERRUPT_TEST(a_task_cancelled_before_it_begins_runs_and_its_first_wait_says_so),
        INTERRUPT_TEST(a_cancellation_is_given_by_every_later_wait),
        INTERRUPT_TEST(a_cancellation_outranks_a_time_out),
        INTERRUPT_TEST(a_cancellation_does_not_reach_what_the_task_started),
        INTERRUPT_TEST(a_task_that_is_woken_and_cancelled_in_one_turn_is_cancelled),
        INTERRUPT_TEST(joiner_and_joined_may_be_cancelled_together),
        INTERRUPT_TEST(a_future_that_a_cancelled_task_let_go_can_be_waited_for_by_another),
    };

    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
