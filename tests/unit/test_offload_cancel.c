/* The end of a call on the pool, between its return and the loop's notice. */
#include <semaphore.h>
#include <time.h>

#include "context/task/offload.h"
#include "context/task/task.h"
#include "tests/support/loop_support.h"

struct ending_call {
    sem_t begun;
    sem_t may_end;
    bool ended;
};

static void ending_call_run(int (*fn)(void *arg))
{
    struct ending_call ending = {0};

    assert_int_equal(sem_init(&ending.begun, 0, 0), 0);
    assert_int_equal(sem_init(&ending.may_end, 0, 0), 0);
    loop_support_run(fn, &ending);
    EXPECT(ending.ended);
    (void)sem_destroy(&ending.begun);
    (void)sem_destroy(&ending.may_end);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        EXPECT_EQUAL(errno, EINTR);
}

static void await(sem_t *semaphore)
{
    while (sem_trywait(semaphore) < 0)
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
}

/* ---- What it registered ---- */

static void never_called(void *arg)
{
    (void)arg;
    EXPECT(false);
}

static int register_and_return(void *arg)
{
    return weft_on_cancel(never_called, arg);
}

static int offload_and_be_cancelled(void *arg)
{
    struct ending_call *ending = arg;

    EXPECT_EQUAL(weft_offload(register_and_return, ending, NULL), 0);
    weft_cancel(weft_task_current());
    EXPECT(weft_is_cancelled());
    ending->ended = true;
    return 0;
}

static void what_a_call_has_registered_ends_with_it(void **state)
{
    (void)state;
    ending_call_run(offload_and_be_cancelled);
}

/* ---- Where it is ---- */

static int hang(void *arg)
{
    struct ending_call *ending = arg;

    (void)sem_post(&ending->begun);
    wait_for(&ending->may_end);
    return 5;
}

static int offload_hanging(void *arg)
{
    struct ending_call *ending = arg;
    int result = 0;

    EXPECT_EQUAL(weft_offload(hang, ending, &result), 0);
    EXPECT_EQUAL(result, 5);
    ending->ended = true;
    return 0;
}

/* The loop does not turn, so that the call has returned and nobody has noticed yet. */
static int give_up_what_has_returned(void *arg)
{
    struct ending_call *ending = arg;
    struct weft_task *task = weft_spawn("call", offload_hanging, ending);
    uintptr_t frames[OFFLOAD_FRAMES_MAX];

    await(&ending->begun);
    (void)sem_post(&ending->may_end);
    while (offload_is_under_way(task))
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    EXPECT_EQUAL(task->state, TASK_WAITING);
    offload_ask_where(task);
    EXPECT_EQUAL(offload_where(task, frames), 0);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    EXPECT_EQUAL(offload_count_abandoned(weft_task_current()->loop->offloads), 0);
    return 0;
}

static void a_call_that_has_just_returned_is_not_under_way(void **state)
{
    (void)state;
    ending_call_run(give_up_what_has_returned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(what_a_call_has_registered_ends_with_it),
        EXPECT_TEST(a_call_that_has_just_returned_is_not_under_way),
    };

    return cmocka_run_group_tests_name("offload_cancel", tests, NULL, NULL);
}
