/* Tasks and their waits: C56 to C60. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/conformance/harness.h"
#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

/* ---- Inheriting and keeping ---- */

static int scope_across_waits(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "of the spawner");
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "of the scope"), 0);
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
        EXPECT_TEXT(weft_get("a"), "of the scope");
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
        EXPECT_TEXT(weft_get("a"), "of the scope");
    }
    EXPECT_TEXT(weft_get("a"), "of the spawner");
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_TEXT(weft_get("a"), "of the spawner");
    return 0;
}

static int spawn_and_change(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "of the spawner"), 0);
    struct weft_task *task = weft_spawn("scope", scope_across_waits, NULL);
    EXPECT_EQUAL(weft_set("a", "later"), 0);
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "later");
    return 0;
}

static void c56_a_task_inherits_when_it_is_spawned_and_keeps_its_scopes_across_waits(void)
{
    loop_support_run(spawn_and_change, NULL);
    harness_expect(NULL, NULL);
}

static int leave_traces(void *arg)
{
    (void)arg;
    harness_expect(NULL, NULL);
    EXPECT_EQUAL(weft_set("a", "trace"), 0);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    EXPECT_EQUAL(weft_set("b", "trace"), 0);
    return 0;
}

static int reuse(void *arg)
{
    for (int i = 0; i < 50; i++)
        EXPECT_EQUAL(weft_join(weft_spawn("trace", leave_traces, arg), NULL), 0);
    return 0;
}

static void c56_a_reused_fiber_starts_clean(void)
{
    loop_support_run(reuse, NULL);
}

/* ---- Interleaving ---- */

enum { YIELDS = 100000, YIELDS_WHEN_WATCHED = 2000 };

static int yield_often(void *value)
{
    int yields = checker_is_watching() ? YIELDS_WHEN_WATCHED : YIELDS;

    EXPECT_EQUAL(weft_set("a", value), 0);
    for (int i = 0; i < yields; i++) {
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
        EXPECT_TEXT(weft_get("a"), value);
    }
    return 0;
}

static int interleave(void *arg)
{
    static char values[][2] = {"1", "2", "3"};

    (void)arg;
    for (size_t i = 0; i < 3; i++)
        EXPECT(weft_spawn("yield", yield_often, values[i]) != NULL);
    return 0;
}

static void c57_tasks_that_take_turns_never_mix(void)
{
    loop_support_run(interleave, NULL);
}

/* ---- Before and after each kind of wait ---- */

static int sockets[2];

static int wait_nowhere(void *arg)
{
    (void)arg;
    return 1;
}

static void complete(void *future)
{
    weft_future_complete(future, 1);
}

static int sleep_little(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1);
}

static int yield(void *arg)
{
    (void)arg;
    return weft_sleep_ms(0);
}

static int wait_for_socket(void *arg)
{
    (void)arg;
    return weft_wait_fd(sockets[0], WEFT_WRITE, 1000) > 0 ? 0 : -EIO;
}

static int wait_in_vain(void *arg)
{
    (void)arg;
    return weft_wait_fd(sockets[0], WEFT_READ, 1) == -ETIMEDOUT ? 0 : -EIO;
}

static int wait_for_future(void *arg)
{
    struct weft_future future = {0};

    (void)arg;
    EXPECT_EQUAL(weft_call_later(1, complete, &future), 0);
    return weft_future_wait(&future, NULL);
}

static int wait_for_task(void *arg)
{
    return weft_join(weft_spawn("task", sleep_little, arg), NULL);
}

static int wait_for_thread(void *arg)
{
    return weft_offload(wait_nowhere, arg, NULL);
}

static int (*const waits[])(void *arg) = {
    sleep_little, yield, wait_for_socket, wait_in_vain, wait_for_future, wait_for_task, wait_for_thread,
};

static int wait_everywhere(void *value)
{
    EXPECT_EQUAL(weft_set("a", value), 0);
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        EXPECT_EQUAL(waits[i](NULL), 0);
        EXPECT_TEXT(weft_get("a"), value);
        EXPECT_EQUAL(weft_run(waits[i], NULL), 0);
        EXPECT_TEXT(weft_get("a"), value);
        EXPECT_EQUAL(weft_exit(waits[i], NULL), 0);
        EXPECT_TEXT(weft_get("a"), value);
    }
    return 0;
}

static int wait_in_two_tasks(void *arg)
{
    static char values[][2] = {"1", "2"};

    (void)arg;
    EXPECT(weft_spawn("wait", wait_everywhere, values[0]) != NULL);
    EXPECT(weft_spawn("wait", wait_everywhere, values[1]) != NULL);
    return 0;
}

static void c58_a_value_is_the_same_before_and_after_every_wait(void)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    loop_support_run(wait_in_two_tasks, NULL);
    (void)close(sockets[0]);
    (void)close(sockets[1]);
}

static int sleep_at_root(void *arg)
{
    (void)arg;
    EXPECT(weft_capture() == NULL);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT(weft_capture() == NULL);
    return -EIO;
}

static int exit_around_wait(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_exit(sleep_at_root, arg), -EIO);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static void c58_an_exit_around_a_wait_is_at_the_root_before_and_after_it(void)
{
    loop_support_run(exit_around_wait, NULL);
}

/* ---- Awaiting and waking ---- */

struct awaitable {
    struct weft_future future;
    const char *context_of_start;
};

static void complete_awaitable(void *arg)
{
    struct awaitable *awaitable = arg;

    EXPECT_TEXT(weft_get("a"), "awaiter");
    weft_future_complete(&awaitable->future, 1);
}

/* A library's function that begins something which a callback completes. */
static int await(struct awaitable *awaitable)
{
    EXPECT_TEXT(weft_get("a"), "awaiter");
    EXPECT_EQUAL(weft_call_later(1, complete_awaitable, awaitable), 0);
    return weft_future_wait(&awaitable->future, NULL);
}

static int await_library(void *arg)
{
    struct awaitable awaitable = {0};

    (void)arg;
    EXPECT_EQUAL(weft_set("a", "awaiter"), 0);
    EXPECT_EQUAL(await(&awaitable), 0);
    EXPECT_TEXT(weft_get("a"), "awaiter");
    return 0;
}

/* There are no thenables in C. What comes nearest is a function that starts something and then waits for it. */
static void c59_what_starts_and_completes_a_wait_is_called_in_the_awaiters_context(void)
{
    loop_support_run(await_library, NULL);
}

static int await_others(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "awaiter"), 0);
    EXPECT_EQUAL(weft_future_wait(arg, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "awaiter");
    EXPECT_EQUAL(weft_sleep_ms(3600 * 1000), -ECANCELED);
    EXPECT_TEXT(weft_get("a"), "awaiter");
    return 0;
}

static int wake_others(void *arg)
{
    struct weft_future future = {0};

    (void)arg;
    struct weft_task *task = weft_spawn("await", await_others, &future);
    EXPECT_EQUAL(weft_set("a", "waker"), 0);
    EXPECT_EQUAL(weft_sleep_ms(0), 0);
    weft_future_complete(&future, 0);
    EXPECT_TEXT(weft_get("a"), "waker");
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    weft_cancel(task);
    EXPECT_TEXT(weft_get("a"), "waker");
    EXPECT_EQUAL(weft_join(task, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "waker");
    return 0;
}

static void c60_a_task_that_another_wakes_keeps_its_own_context(void)
{
    loop_support_run(wake_others, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c56_a_task_inherits_when_it_is_spawned_and_keeps_its_scopes_across_waits),
        CONFORMANCE_CASE(c56_a_reused_fiber_starts_clean),
        CONFORMANCE_CASE(c57_tasks_that_take_turns_never_mix),
        CONFORMANCE_CASE(c58_a_value_is_the_same_before_and_after_every_wait),
        CONFORMANCE_CASE(c58_an_exit_around_a_wait_is_at_the_root_before_and_after_it),
        CONFORMANCE_CASE(c59_what_starts_and_completes_a_wait_is_called_in_the_awaiters_context),
        CONFORMANCE_CASE(c60_a_task_that_another_wakes_keeps_its_own_context),
    };

    return cmocka_run_group_tests_name("fibers", tests, NULL, NULL);
}
