/* Hooks: C66, and what C67's are told of each kind of operation. */
#include "tests/conformance/harness.h"
#include "tests/support/loop_support.h"
#include "tests/support/observer.h"

static const struct timeval at_once;

/* ---- What is told ---- */

static int add_at_once(void *event)
{
    return event_add(event, &at_once);
}

static void c67_a_timer_is_begun_run_and_ended_once_in_its_context(void)
{
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, observer_call, NULL);
    struct observer observer;

    observer_begin(&observer, "timer", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", add_at_once, event), 0);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    observer_end(&observer, "ib.ad");
    event_base_free(base);
}

static int add_and_delete(void *event)
{
    EXPECT_EQUAL(event_add(event, &at_once), 0);
    EXPECT_EQUAL(event_del(event), 0);
    return event_del(event);
}

static void c67_what_is_cancelled_is_ended_once_and_never_run(void)
{
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, observer_call, NULL);
    struct observer observer;

    observer_begin(&observer, "timer", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", add_and_delete, event), 0);
    event_free(event);
    observer_end(&observer, "id");
    event_base_free(base);
}

static int add_at_root(void *event)
{
    return weft_exit(add_at_once, event);
}

static void c67_what_is_scheduled_at_the_root_is_nobody_s_operation(void)
{
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, observer_call, NULL);
    struct observer observer;

    observer_begin(&observer, NULL, "1");
    EXPECT_EQUAL(add_at_root(event), 0);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    observer_end(&observer, ".");
    event_base_free(base);
}

static int sleep_twice(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    return weft_sleep_ms(1);
}

static int spawn_sleeper(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("sleeper", sleep_twice, NULL) != NULL);
    return 0;
}

static void c67_a_task_runs_once_more_than_it_waits(void)
{
    struct loop_support support = loop_support_begin();
    struct observer observer;

    observer_begin(&observer, "task", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_sleeper, NULL), 0);
    loop_support_end(&support);
    observer_end(&observer, "ibababad");
}

static void c67_each_wait_is_an_operation_of_the_task_s(void)
{
    struct loop_support support = loop_support_begin();
    struct observer tasks, sleeps;

    observer_begin(&tasks, "task", "1");
    observer_begin(&sleeps, "sleep", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_sleeper, NULL), 0);
    loop_support_end(&support);
    weft_hook_remove(&tasks.hook);
    observer_end(&sleeps, "ibiabdiabdad");
    EXPECT(tasks.id != 0);
    EXPECT_EQUAL(sleeps.trigger, tasks.id);
    EXPECT(sleeps.id != tasks.id);
}

static int return_it(void *arg)
{
    trace_add('.');
    return *(int *)arg;
}

static int bind_here(void *arg)
{
    static int result = 7;

    weft_bind(arg, return_it, &result);
    return 0;
}

static void c67_a_bound_call_is_begun_run_as_often_as_it_is_called_and_ended_once(void)
{
    struct observer observer;
    struct weft_bound bound;

    observer_begin(&observer, "bound", "1");
    /* `before` finds no operation that is running: the caller's goes on. */
    observer.hook.before = NULL;
    observer.hook.after = NULL;
    weft_hook_remove(&observer.hook);
    weft_hook_add(&observer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", bind_here, &bound), 0);
    EXPECT_EQUAL(weft_call(&bound), 7);
    EXPECT_EQUAL(weft_call(&bound), 7);
    weft_unbind(&bound);
    weft_unbind(&bound);
    observer_end(&observer, "i..d");
}

/* ---- C66: switches ---- */

static int expect_no_hook(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "2");
    return 0;
}

static int run_inside(void *arg)
{
    return weft_run_with("a", "2", expect_no_hook, arg);
}

static void c66_a_change_of_context_without_an_operation_is_told_to_nobody(void)
{
    /* folly tells its watchers of each switch, first what is unset and then what is set. In weft what is observed is
     * operations; a run inside of one is part of it. */
    struct observer observer;

    observer_begin(&observer, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", run_inside, NULL), 0);
    observer_end(&observer, "");
}

static int two_sleepers(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("one", sleep_twice, NULL) != NULL);
    EXPECT(weft_spawn("two", sleep_twice, NULL) != NULL);
    return 0;
}

static void c66_after_always_comes_before_the_next_before(void)
{
    struct loop_support support = loop_support_begin();
    struct observer observer;

    observer_begin(&observer, "task", "1"); /* checks the depth */
    EXPECT_EQUAL(weft_run_with("a", "1", two_sleepers, NULL), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(observer.depth, 0);
    weft_hook_remove(&observer.hook);
    EXPECT_EQUAL(trace_size, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c67_a_timer_is_begun_run_and_ended_once_in_its_context),
        CONFORMANCE_CASE(c67_what_is_cancelled_is_ended_once_and_never_run),
        CONFORMANCE_CASE(c67_what_is_scheduled_at_the_root_is_nobody_s_operation),
        CONFORMANCE_CASE(c67_a_task_runs_once_more_than_it_waits),
        CONFORMANCE_CASE(c67_each_wait_is_an_operation_of_the_task_s),
        CONFORMANCE_CASE(c67_a_bound_call_is_begun_run_as_often_as_it_is_called_and_ended_once),
        CONFORMANCE_CASE(c66_a_change_of_context_without_an_operation_is_told_to_nobody),
        CONFORMANCE_CASE(c66_after_always_comes_before_the_next_before),
    };

    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
