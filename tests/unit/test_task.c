/* Tasks: how they start, end and are joined, and the loop that they run on. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/support/checker.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static char letter_a[] = "a", letter_b[] = "b", letter_c[] = "c";

/* A task that notes its letter, and its letter in upper case after others had their turn. */
static int note_twice(void *letter)
{
    char small = *(char *)letter;

    trace_add(small);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    trace_add((char)(small - 'a' + 'A'));
    return small;
}

/* ---- Starting ---- */

static int spawn_three(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("a", note_twice, letter_a) != NULL);
    EXPECT(weft_spawn("b", note_twice, letter_b) != NULL);
    trace_add('1');
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    trace_add('2');
    EXPECT(weft_spawn("c", note_twice, letter_c) != NULL);
    trace_add('3');
    return 0;
}

static void tasks_begin_in_order_when_the_spawner_waits_or_returns(void **state)
{
    (void)state;
    trace_clear();
    loop_support_run(spawn_three, NULL);
    EXPECT_TEXT(trace, "1ab23ABcC");
}

static void spawning_needs_a_loop_a_name_and_a_function(void **state)
{
    (void)state;
    errno = 0;
    EXPECT(weft_spawn("a", note_twice, letter_a) == NULL);
    EXPECT_EQUAL(errno, EPERM);

    struct loop_support support = loop_support_begin();
    EXPECT(weft_spawn(NULL, note_twice, letter_a) == NULL);
    EXPECT_EQUAL(errno, EINVAL);
    errno = 0;
    EXPECT(weft_spawn("a", NULL, letter_a) == NULL);
    EXPECT_EQUAL(errno, EINVAL);
    EXPECT_EQUAL(weft_tasks_alive(), 0);
    loop_support_end(&support);
}

static int fill_and_spawn(void *arg)
{
    char name[16];

    (void)arg;
    for (int i = 0; i < WEFT_CONTEXT_VALUES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        EXPECT_EQUAL(weft_set(name, "x"), 0);
    }
    errno = 0;
    EXPECT(weft_spawn("a", note_twice, letter_a) == NULL);
    EXPECT_EQUAL(errno, E2BIG);
    EXPECT_EQUAL(weft_tasks_alive(), 0);
    EXPECT_EQUAL(weft_unset("n0"), 0);
    EXPECT(weft_spawn("a", note_twice, letter_a) != NULL);
    return 0;
}

static void a_full_context_has_no_room_for_a_tasks_name(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(weft_run(fill_and_spawn, NULL), 0);
    loop_support_end(&support);
}

static int name_is_copied(void *arg)
{
    char name[] = "child";

    (void)arg;
    struct weft_task *child = weft_spawn(name, note_twice, letter_a);
    memset(name, '#', sizeof(name) - 1);
    EXPECT_TEXT(weft_get("weft.task"), "test");
    return weft_join(child, NULL);
}

static void a_tasks_name_is_copied(void **state)
{
    (void)state;
    loop_support_run(name_is_copied, NULL);
}

/* ---- Joining ---- */

static int give(void *result)
{
    return *(int *)result;
}

static int join_ended_and_running(void *arg)
{
    int wanted = -17, result = 0;

    (void)arg;
    struct weft_task *task = weft_spawn("give", give, &wanted);
    EXPECT_EQUAL(weft_join(task, &result), 0);
    EXPECT_EQUAL(result, -17);
    result = 0;
    EXPECT_EQUAL(weft_join(task, &result), 0); /* it has ended; the handle is still there */
    EXPECT_EQUAL(result, -17);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    weft_cancel(task);
    EXPECT_EQUAL(weft_join(task, &result), 0);
    EXPECT_EQUAL(result, -17);
    return 0;
}

static void a_task_is_joined_before_and_after_its_end(void **state)
{
    (void)state;
    loop_support_run(join_ended_and_running, NULL);
}

static int join_and_note(void *task)
{
    int result = 0;

    EXPECT_EQUAL(weft_join(task, &result), 0);
    EXPECT_EQUAL(result, 'a');
    trace_add('j');
    return 0;
}

static int join_by_many(void *arg)
{
    struct weft_task *task = weft_spawn("a", note_twice, letter_a);

    (void)arg;
    for (int i = 0; i < 5; i++)
        EXPECT(weft_spawn("join", join_and_note, task) != NULL);
    return join_and_note(task);
}

static void many_tasks_join_one(void **state)
{
    (void)state;
    trace_clear();
    loop_support_run(join_by_many, NULL);
    EXPECT_TEXT(trace, "aAjjjjjj");
}

static int join_wrongly(void *arg)
{
    errno = 0;
    EXPECT_EQUAL(weft_join(weft_task_current(), arg), -EDEADLK);
    EXPECT_EQUAL(errno, EDEADLK);
    EXPECT_EQUAL(weft_join(NULL, arg), -EINVAL);
    EXPECT_EQUAL(errno, EINVAL);
    return 0;
}

static void joining_oneself_nobody_or_outside_of_tasks_is_refused(void **state)
{
    int result = 5;

    (void)state;
    struct loop_support support = loop_support_begin();
    struct weft_task *task = weft_spawn("join", join_wrongly, &result);
    EXPECT_EQUAL(weft_join(task, &result), -EDEADLK);
    EXPECT_EQUAL(errno, EDEADLK);
    loop_support_end(&support);
    EXPECT_EQUAL(result, 5);
}

/* ---- Handles ---- */

static struct weft_task *kept;

static int spawn_and_keep(void *arg)
{
    kept = weft_task_ref(weft_spawn("give", give, arg));
    return 0;
}

static int join_kept(void *arg)
{
    int result = 0;

    while (weft_tasks_alive() > 1)
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_EQUAL(weft_join(kept, &result), 0);
    EXPECT_EQUAL(result, *(int *)arg);
    return 0;
}

static void a_kept_handle_is_good_after_its_task_and_its_spawner(void **state)
{
    int wanted = 12;

    (void)state;
    struct loop_support support = loop_support_begin();
    EXPECT(weft_spawn("spawn", spawn_and_keep, &wanted) != NULL);
    EXPECT(weft_spawn("join", join_kept, &wanted) != NULL);
    loop_support_end(&support);
    weft_cancel(kept); /* it has ended, its loop is gone */
    EXPECT(weft_task_unref(kept) == NULL);
    EXPECT(weft_task_ref(NULL) == NULL);
    EXPECT(weft_task_unref(NULL) == NULL);
    weft_cancel(NULL);
}

static int is_current(void *task)
{
    EXPECT(weft_task_current() == *(struct weft_task **)task);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT(weft_task_current() == *(struct weft_task **)task);
    return 0;
}

static void nothing_is_current(void *arg)
{
    (void)arg;
    EXPECT(weft_task_current() == NULL);
    EXPECT_EQUAL(weft_sleep_ms(0), -EDEADLK);
    EXPECT_EQUAL(weft_sleep_ms(1), -EDEADLK);
    EXPECT_EQUAL(weft_offload(give, arg, NULL), -EDEADLK);
    EXPECT_EQUAL(weft_wait_fd(0, WEFT_READ, 0), -EDEADLK);
    EXPECT_EQUAL(weft_future_wait(&(struct weft_future){.done = true}, NULL), -EDEADLK);
    EXPECT_EQUAL(errno, EDEADLK);
}

static void the_current_task_is_known_inside_and_nowhere_else(void **state)
{
    struct weft_task *task;

    (void)state;
    nothing_is_current(NULL);
    struct loop_support support = loop_support_begin();
    task = weft_spawn("current", is_current, &task);
    EXPECT_EQUAL(weft_call_soon(nothing_is_current, NULL), 0);
    nothing_is_current(NULL);
    loop_support_end(&support);
}

/* ---- Many ---- */

/* The thread sanitizer takes a fiber for a thread, and has an end of them. */
enum { MANY = 20000, MANY_WHEN_WATCHED = 2000 };

static int count_down(void *left)
{
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    --*(int *)left;
    return 0;
}

static int spawn_many(void *arg)
{
    int many = checker_is_watching() ? MANY_WHEN_WATCHED : MANY, left = 0;

    (void)arg;
    /* Where the kernel gives no more stacks, it says so. */
    for (; left < many; left++)
        if (!weft_spawn("many", count_down, &left)) {
            EXPECT_EQUAL(errno, EAGAIN);
            break;
        }
    EXPECT(left > 1000);
    EXPECT_EQUAL(weft_tasks_alive(), left + 1);
    while (left > 0)
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
    return 0;
}

static void thousands_of_tasks_live_at_once_and_end(void **state)
{
    (void)state;
    loop_support_run(spawn_many, NULL);
}

/* ---- Loops ---- */

static void a_thread_has_one_loop(void **state)
{
    struct loop_support support = loop_support_begin();
    struct weft_loop *second = NULL;

    (void)state;
    EXPECT_EQUAL(weft_loop_new(support.base, &second), -EBUSY);
    EXPECT(second == NULL);
    loop_support_end(&support);
    EXPECT(weft_loop_free(NULL) == NULL);
}

static int leave_nothing(void *base)
{
    static int result = 3;

    EXPECT_EQUAL(weft_join(weft_spawn("give", give, &result), NULL), 0);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_EQUAL(weft_offload(give, &result, NULL), 0);
    return base == NULL;
}

static void an_idle_loop_holds_no_event(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(event_base_get_num_events(support.base, EVENT_BASE_COUNT_ADDED), 0);
    EXPECT(weft_spawn("test", leave_nothing, support.base) != NULL);
    EXPECT(event_base_dispatch(support.base) >= 0);
    EXPECT_EQUAL(event_base_get_num_events(support.base, EVENT_BASE_COUNT_ADDED), 0);
    loop_support_end(&support);
}

static void *run_a_loop(void *arg)
{
    for (int i = 0; i < 20; i++)
        loop_support_run(leave_nothing, arg);
    return NULL;
}

static void each_thread_may_run_a_loop_of_its_own(void **state)
{
    pthread_t threads[3];

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_a_loop, state), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(tasks_begin_in_order_when_the_spawner_waits_or_returns),
        EXPECT_TEST(spawning_needs_a_loop_a_name_and_a_function),
        EXPECT_TEST(a_full_context_has_no_room_for_a_tasks_name),
        EXPECT_TEST(a_tasks_name_is_copied),
        EXPECT_TEST(a_task_is_joined_before_and_after_its_end),
        EXPECT_TEST(many_tasks_join_one),
        EXPECT_TEST(joining_oneself_nobody_or_outside_of_tasks_is_refused),
        EXPECT_TEST(a_kept_handle_is_good_after_its_task_and_its_spawner),
        EXPECT_TEST(the_current_task_is_known_inside_and_nowhere_else),
        EXPECT_TEST(thousands_of_tasks_live_at_once_and_end),
        EXPECT_TEST(a_thread_has_one_loop),
        EXPECT_TEST(an_idle_loop_holds_no_event),
        EXPECT_TEST(each_thread_may_run_a_loop_of_its_own),
    };

    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
