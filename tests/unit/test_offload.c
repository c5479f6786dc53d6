/* The thread pool behind weft_offload(). */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include "context/task/offload.h"
#include "context/task/task.h"
#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

/* ---- Context and results ---- */

static int read_on_thread(void *loop_thread)
{
    EXPECT(!pthread_equal(pthread_self(), *(pthread_t *)loop_thread));
    EXPECT_TEXT(weft_get("a"), "of the caller");
    EXPECT_EQUAL(weft_set("a", "of the thread"), 0);
    EXPECT_TEXT(weft_get("a"), "of the thread");
    return -12;
}

static int offload_with_context(void *arg)
{
    pthread_t self = pthread_self();
    int result = 0;

    (void)arg;
    EXPECT_EQUAL(weft_set("a", "of the caller"), 0);
    EXPECT_EQUAL(weft_offload(read_on_thread, &self, &result), 0);
    EXPECT_EQUAL(result, -12);
    EXPECT_TEXT(weft_get("a"), "of the caller");
    EXPECT_EQUAL(weft_offload(read_on_thread, &self, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "of the caller");
    EXPECT_EQUAL(weft_offload(NULL, &self, &result), -EINVAL);
    return 0;
}

static void a_function_on_the_pool_sees_the_callers_context_and_cannot_change_it(void **state)
{
    (void)state;
    loop_support_run(offload_with_context, NULL);
}

static int refuse_on_thread(void *arg)
{
    struct weft_future future = {.done = true};

    EXPECT(weft_task_current() == NULL);
    EXPECT_EQUAL(weft_sleep_ms(0), -EDEADLK);
    EXPECT_EQUAL(weft_wait_fd(0, WEFT_READ, 0), -EDEADLK);
    EXPECT_EQUAL(weft_future_wait(&future, NULL), -EDEADLK);
    EXPECT_EQUAL(weft_offload(refuse_on_thread, NULL, NULL), -EDEADLK);
    EXPECT_EQUAL(weft_join(arg, NULL), -EDEADLK);
    EXPECT(weft_spawn("task", refuse_on_thread, NULL) == NULL);
    EXPECT_EQUAL(errno, EDEADLK);
    EXPECT_EQUAL(weft_call_soon(free, NULL), -EDEADLK);
    EXPECT_EQUAL(weft_call_later(1, free, NULL), -EDEADLK);
    EXPECT(weft_loop_base() == NULL);
    future.done = false;
    errno = 0;
    weft_future_complete(&future, 1);
    EXPECT_EQUAL(errno, EDEADLK);
    EXPECT(!future.done);
    errno = 0;
    weft_cancel(arg);
    EXPECT_EQUAL(errno, EDEADLK);
    EXPECT(!weft_is_cancelled());

    sigset_t mask;
    EXPECT_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    EXPECT(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD));  /* signals are the loop's business */
    EXPECT(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGFPE)); /* but for those of the thread's own making */
    stack_t signal_stack;
    EXPECT_EQUAL(sigaltstack(NULL, &signal_stack), 0);
    EXPECT(!(signal_stack.ss_flags & SS_DISABLE));
    return 0;
}

static int offload_refusals(void *arg)
{
    (void)arg;
    return weft_offload(refuse_on_thread, weft_task_current(), NULL);
}

static void what_belongs_to_the_loop_is_refused_on_the_pool(void **state)
{
    (void)state;
    loop_support_run(offload_refusals, NULL);
}

/* ---- The thread itself ---- */

static pthread_key_t at_exit;

/* Runs when the pool's thread ends. */
static void expect_the_root(void *value)
{
    ++*(atomic_int *)value;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT(weft_capture() == NULL);
    EXPECT_EQUAL(weft_set("a", "x"), -EPERM);
}

static int watch_exit(void *value)
{
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    return pthread_setspecific(at_exit, value);
}

static int read_nothing(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_TEXT(weft_get("b"), NULL);
    return 0;
}

static int offload_twice(void *value)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_offload(watch_exit, value, NULL), 0);
    EXPECT_EQUAL(weft_unset("a"), 0);
    EXPECT_EQUAL(weft_offload(read_nothing, NULL, NULL), 0); /* one thread was enough: the same */
    return 0;
}

static void a_thread_of_the_pool_is_at_the_root_between_calls_and_at_its_end(void **state)
{
    atomic_int exits = 0;

    (void)state;
    assert_int_equal(pthread_key_create(&at_exit, expect_the_root), 0);
    loop_support_run(offload_twice, &exits);
    EXPECT_EQUAL(exits, 1);
    (void)pthread_key_delete(at_exit);
}

/* ---- More calls than threads ---- */

enum { CALLS = 200 };

struct crowd {
    atomic_int running;
    atomic_int most;
    int done;
};

static int count_running(void *arg)
{
    struct crowd *crowd = arg;
    int running = atomic_fetch_add(&crowd->running, 1) + 1;
    int most = atomic_load(&crowd->most);

    while (running > most && !atomic_compare_exchange_weak(&crowd->most, &most, running))
        ;
    EXPECT_TEXT(weft_get("a"), "crowd");
    atomic_fetch_sub(&crowd->running, 1);
    return running;
}

static int join_crowd(void *arg)
{
    struct crowd *crowd = arg;
    int result = 0;

    EXPECT_EQUAL(weft_offload(count_running, crowd, &result), 0);
    EXPECT(result >= 1 && result <= OFFLOAD_THREADS_DEFAULT);
    crowd->done++;
    return 0;
}

static int gather_crowd(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "crowd"), 0);
    for (int i = 0; i < CALLS; i++)
        EXPECT(weft_spawn("call", join_crowd, arg) != NULL);
    return 0;
}

static void more_calls_than_threads_wait_their_turn(void **state)
{
    struct crowd crowd = {0};

    (void)state;
    loop_support_run(gather_crowd, &crowd);
    EXPECT_EQUAL(crowd.done, CALLS);
    EXPECT(crowd.most >= 1 && crowd.most <= OFFLOAD_THREADS_DEFAULT);
}

/* As many calls as there are threads meet: none waits for another's thread. */
static int meet(void *barrier)
{
    (void)pthread_barrier_wait(barrier);
    return 0;
}

static int offload_meeting(void *barrier)
{
    return weft_offload(meet, barrier, NULL);
}

static int arrange_meeting(void *barrier)
{
    for (int i = 0; i < OFFLOAD_THREADS_DEFAULT; i++)
        EXPECT(weft_spawn("meet", offload_meeting, barrier) != NULL);
    return 0;
}

static void calls_run_at_once_on_as_many_threads_as_there_are(void **state)
{
    pthread_barrier_t barrier;

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, OFFLOAD_THREADS_DEFAULT), 0);
    loop_support_run(arrange_meeting, &barrier);
    (void)pthread_barrier_destroy(&barrier);
}

/* ---- Cancellation ---- */

struct held_call {
    sem_t begun;
    sem_t may_end;
    int interruption;
};

static int wait_until_released(void *arg)
{
    struct held_call *held = arg;

    (void)sem_post(&held->begun);
    while (sem_wait(&held->may_end) < 0)
        ;
    return 77;
}

static int offload_held(void *arg)
{
    struct held_call *held = arg;
    int result = 0;

    EXPECT_EQUAL(weft_offload(wait_until_released, held, &result), held->interruption);
    EXPECT_EQUAL(result, 77); /* it was waited for, and what it gave is not lost */
    EXPECT_EQUAL(weft_sleep_ms(1), held->interruption);
    return 1;
}

static int interrupt_held(void *arg)
{
    struct held_call *held = arg;
    struct weft_task *task = weft_spawn("offload", offload_held, held);
    int result = 0;

    while (sem_trywait(&held->begun) < 0)
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
    task_interrupt(task, held->interruption);
    EXPECT_EQUAL(weft_sleep_ms(5), 0);
    EXPECT_EQUAL(task->state, TASK_WAITING); /* still: its memory is in use on the thread */
    (void)sem_post(&held->may_end);
    EXPECT_EQUAL(weft_join(task, &result), 0);
    EXPECT_EQUAL(result, 1);
    return 0;
}

static void an_interruption_while_the_function_runs_is_reported_after_it(void **state)
{
    static const int interruptions[] = {-ECANCELED, -ETIME};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct held_call held = {.interruption = interruptions[i]};

        assert_int_equal(sem_init(&held.begun, 0, 0), 0);
        assert_int_equal(sem_init(&held.may_end, 0, 0), 0);
        loop_support_run(interrupt_held, &held);
        (void)sem_destroy(&held.begun);
        (void)sem_destroy(&held.may_end);
    }
}

/* ---- Contexts that end on the pool ---- */

static atomic_int releases;

enum { HOLDERS = 4, TAKES = 50000 };

static int take_and_give(void *task)
{
    for (int i = 0; i < TAKES; i++)
        (void)weft_task_unref(weft_task_ref(task));
    return 0;
}

static int hold(void *task)
{
    return weft_offload(take_and_give, task, NULL);
}

static int let_others_hold(void *arg)
{
    struct weft_task *self = weft_task_current(), *holders[HOLDERS];
    unsigned references = self->references;

    (void)arg;
    for (int i = 0; i < HOLDERS; i++)
        holders[i] = weft_spawn("holder", hold, self);
    for (int i = 0; i < HOLDERS; i++)
        EXPECT_EQUAL(weft_join(holders[i], NULL), 0);
    EXPECT_EQUAL(self->references, references);
    return 0;
}

static void handles_of_tasks_may_be_held_on_the_pool(void **state)
{
    (void)state;
    loop_support_run(let_others_hold, NULL);
}

static void count_release(void *pointer)
{
    (void)pointer;
    atomic_fetch_add(&releases, 1);
    EXPECT_TEXT(weft_get("a"), NULL);
}

static int set_on_thread(void *arg)
{
    EXPECT_EQUAL(weft_set_pointer("p", arg, count_release), 0);
    return weft_set("a", "1");
}

static int offload_pointer(void *arg)
{
    EXPECT_EQUAL(weft_offload(set_on_thread, arg, NULL), 0);
    EXPECT_EQUAL(releases, 1);
    EXPECT(weft_get_pointer("p") == NULL);
    return 0;
}

static void what_is_set_on_the_pool_is_released_there(void **state)
{
    (void)state;
    atomic_store(&releases, 0);
    loop_support_run(offload_pointer, &releases);
    EXPECT_EQUAL(releases, 1);
}

/* ---- Functions that do not return ---- */

static int end_the_thread(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "of the thread"), 0);
    pthread_exit(arg);
}

static int end_the_thread_in_a_run(void *arg)
{
    return weft_run_with("a", "of a run", end_the_thread, arg);
}

static int be_cancelled(void *arg)
{
    EXPECT_EQUAL(pthread_cancel(pthread_self()), 0);
    pthread_testcancel();
    (void)arg;
    return 0;
}

static int offload_what_does_not_return(void *arg)
{
    int (*const functions[])(void *) = {end_the_thread, end_the_thread_in_a_run, be_cancelled};
    pthread_t self = pthread_self();

    EXPECT_EQUAL(weft_set("a", "of the caller"), 0);
    for (int i = 0; i < 9; i++) {
        int result = 0;

        if (functions[i % 3] == be_cancelled && !CHECKER_KNOWS_CANCELLATION)
            continue;
        EXPECT_EQUAL(weft_offload(functions[i % 3], arg, &result), 0);
        EXPECT_EQUAL(result, OFFLOAD_THREAD_ENDED);
        EXPECT_TEXT(weft_get("a"), "of the caller");
        /* There are others for what comes then. */
        EXPECT_EQUAL(weft_offload(read_on_thread, &self, &result), 0);
        EXPECT_EQUAL(result, -12);
    }
    return 0;
}

static void a_function_that_ends_its_thread_has_returned_all_the_same(void **state)
{
    (void)state;
    loop_support_run(offload_what_does_not_return, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_function_on_the_pool_sees_the_callers_context_and_cannot_change_it),
        EXPECT_TEST(a_function_that_ends_its_thread_has_returned_all_the_same),
        EXPECT_TEST(what_belongs_to_the_loop_is_refused_on_the_pool),
        EXPECT_TEST(a_thread_of_the_pool_is_at_the_root_between_calls_and_at_its_end),
        EXPECT_TEST(more_calls_than_threads_wait_their_turn),
        EXPECT_TEST(calls_run_at_once_on_as_many_threads_as_there_are),
        EXPECT_TEST(an_interruption_while_the_function_runs_is_reported_after_it),
        EXPECT_TEST(what_is_set_on_the_pool_is_released_there),
        EXPECT_TEST(handles_of_tasks_may_be_held_on_the_pool),
    };

    return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
