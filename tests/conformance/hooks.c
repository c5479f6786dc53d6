/* Hooks: C66 and C67, and what they are told of each kind of operation. */
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/hooks.h>

#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static const struct timeval at_once;

/* ---- A hook that writes down what it is told ---- */

struct observer {
    struct weft_hook hook;
    const char *kind;   /* only of these; NULL: all */
    const char *wanted; /* of `a`, where it is told */
    uint64_t id;        /* of the operation that began last */
    uint64_t trigger;
    int depth; /* of `before` without `after` */
};

static bool concerns(const struct weft_operation *operation, const struct observer *observer)
{
    EXPECT(operation->id != 0);
    EXPECT(operation->context != NULL);
    EXPECT_TEXT(weft_get("a"), observer->wanted);
    return !observer->kind || strcmp(observer->kind, operation->kind) == 0;
}

static void note_init(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!concerns(operation, observer))
        return;
    observer->id = operation->id;
    observer->trigger = operation->trigger;
    trace_add('i');
}

static void note_before(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!concerns(operation, observer))
        return;
    EXPECT_EQUAL(weft_operation_current(), operation->id);
    observer->depth++;
    trace_add('b');
}

static void note_after(const struct weft_operation *operation, void *user)
{
    struct observer *observer = user;

    if (!concerns(operation, observer))
        return;
    EXPECT_EQUAL(observer->depth--, 1);
    trace_add('a');
}

static void note_destroy(const struct weft_operation *operation, void *user)
{
    if (concerns(operation, user))
        trace_add('d');
}

static void observe(struct observer *observer, const char *kind, const char *wanted)
{
    *observer = (struct observer){
        .hook = {.init = note_init, .before = note_before, .after = note_after, .destroy = note_destroy},
        .kind = kind,
        .wanted = wanted,
    };
    observer->hook.user = observer;
    trace_clear();
    weft_hook_add(&observer->hook);
}

static void expect_told(struct observer *observer, const char *wanted)
{
    weft_hook_remove(&observer->hook);
    EXPECT_TEXT(trace, wanted);
}

/* ---- What is told ---- */

static void note_call(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    trace_add('.');
}

static int add_at_once(void *event)
{
    return event_add(event, &at_once);
}

static void c67_a_timer_is_begun_run_and_ended_once_in_its_context(void)
{
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, note_call, NULL);
    struct observer observer;

    observe(&observer, "timer", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", add_at_once, event), 0);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    expect_told(&observer, "ib.ad");
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
    struct event *event = evtimer_new(base, note_call, NULL);
    struct observer observer;

    observe(&observer, "timer", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", add_and_delete, event), 0);
    event_free(event);
    expect_told(&observer, "id");
    event_base_free(base);
}

static int add_at_root(void *event)
{
    return weft_exit(add_at_once, event);
}

static void c67_what_is_scheduled_at_the_root_is_nobody_s_operation(void)
{
    struct event_base *base = event_base_new();
    struct event *event = evtimer_new(base, note_call, NULL);
    struct observer observer;

    observe(&observer, NULL, "1");
    EXPECT_EQUAL(add_at_root(event), 0);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    expect_told(&observer, ".");
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

    observe(&observer, "task", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_sleeper, NULL), 0);
    loop_support_end(&support);
    expect_told(&observer, "ibababad");
}

static void c67_each_wait_is_an_operation_of_the_task_s(void)
{
    struct loop_support support = loop_support_begin();
    struct observer tasks, sleeps;

    observe(&tasks, "task", "1");
    observe(&sleeps, "sleep", "1");
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_sleeper, NULL), 0);
    loop_support_end(&support);
    weft_hook_remove(&tasks.hook);
    expect_told(&sleeps, "ibiabdiabdad");
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

    observe(&observer, "bound", "1");
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
    expect_told(&observer, "i..d");
}

/* ---- Hooks that change hooks ---- */

struct changer {
    struct weft_hook hook;
    struct weft_hook *other;
    bool adds;
};

static void change_hooks(const struct weft_operation *operation, void *user)
{
    struct changer *changer = user;

    (void)operation;
    if (changer->adds)
        weft_hook_add(changer->other);
    else
        weft_hook_remove(changer->other);
}

static int begin_and_end_one(void *base)
{
    struct event *event = evtimer_new(base, note_call, NULL);

    EXPECT_EQUAL(event_add(event, &at_once), 0);
    event_free(event);
    return 0;
}

static void c67_a_hook_that_is_added_by_a_hook_is_told_from_the_next_event_on(void)
{
    struct event_base *base = event_base_new();
    struct observer late;
    struct changer changer = {.hook = {.init = change_hooks}, .other = &late.hook, .adds = true};

    observe(&late, NULL, "1");
    weft_hook_remove(&late.hook);
    changer.hook.user = &changer;
    weft_hook_add(&changer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&changer.hook);
    expect_told(&late, "d");
    event_base_free(base);
}

static void c67_a_hook_that_is_removed_by_a_hook_is_told_nothing_more(void)
{
    struct event_base *base = event_base_new();
    struct observer gone;
    struct changer changer = {.hook = {.init = change_hooks}, .other = &gone.hook};

    changer.hook.user = &changer;
    weft_hook_add(&changer.hook);
    observe(&gone, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&changer.hook);
    expect_told(&gone, "");
    event_base_free(base);
}

static void remove_itself(const struct weft_operation *operation, void *user)
{
    (void)operation;
    trace_add('x');
    weft_hook_remove(user);
}

static void c67_a_hook_may_remove_itself_and_the_others_are_told_all_the_same(void)
{
    struct event_base *base = event_base_new();
    struct weft_hook once = {.init = remove_itself};
    struct observer other;

    trace_clear();
    once.user = &once;
    weft_hook_add(&once);
    observe(&other, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    expect_told(&other, "xidid");
    event_base_free(base);
}

static void log_and_schedule(const struct weft_operation *operation, void *user)
{
    (void)operation;
    trace_add('h');
    weft_info("told");
    EXPECT_EQUAL(begin_and_end_one(user), 0);
    EXPECT_EQUAL(weft_set("a", "leaked"), 0);
}

static void c67_what_a_hook_logs_schedules_and_sets_is_told_to_nobody(void)
{
    struct event_base *base = event_base_new();
    struct weft_hook hook = {
        .init = log_and_schedule, .before = log_and_schedule, .after = log_and_schedule, .destroy = log_and_schedule};
    struct log_capture log;

    trace_clear();
    hook.user = base;
    weft_hook_add(&hook);
    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    log_capture_end();
    weft_hook_remove(&hook);
    EXPECT_TEXT(trace, "hh");
    EXPECT_EQUAL(log.count, 2);
    EXPECT_TEXT(log.subjects[0], "1");
    EXPECT_TEXT(log.subjects[1], "1");
    event_base_free(base);
}

static void c67_adding_twice_and_removing_twice_is_once(void)
{
    struct event_base *base = event_base_new();
    struct observer observer;

    observe(&observer, NULL, "1");
    weft_hook_add(&observer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&observer.hook);
    weft_hook_remove(&observer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    EXPECT_TEXT(trace, "id");
    event_base_free(base);
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

    observe(&observer, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", run_inside, NULL), 0);
    expect_told(&observer, "");
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

    observe(&observer, "task", "1"); /* checks the depth */
    EXPECT_EQUAL(weft_run_with("a", "1", two_sleepers, NULL), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(observer.depth, 0);
    weft_hook_remove(&observer.hook);
    EXPECT_EQUAL(trace_size, 16);
}

/* ---- The async stack ---- */

static void read_stack(evutil_socket_t fd, short what, void *stack)
{
    (void)fd;
    (void)what;
    EXPECT(weft_async_stack(stack, 512) > 0);
}

struct staged {
    struct event_base *base;
    char stack[512];
};

static void schedule_the_last(evutil_socket_t fd, short what, void *arg)
{
    struct staged *staged = arg;

    (void)fd;
    (void)what;
    EXPECT_EQUAL(event_base_once(staged->base, -1, EV_TIMEOUT, read_stack, staged->stack, &at_once), 0);
}

static int schedule_the_first(void *arg)
{
    struct staged *staged = arg;

    return event_base_once(staged->base, -1, EV_TIMEOUT, schedule_the_last, staged, &at_once);
}

static int start_in_task(void *arg)
{
    return schedule_the_first(arg);
}

static int spawn_start(void *arg)
{
    EXPECT(weft_spawn("starter", start_in_task, arg) != NULL);
    return 0;
}

static void an_async_stack_names_what_led_to_a_callback_the_latest_first(void)
{
    struct loop_support support = loop_support_begin();
    struct staged staged = {.base = support.base};
    char empty[8] = "x";

    EXPECT_EQUAL(weft_run_with("a", "1", spawn_start, &staged), 0);
    loop_support_end(&support);
    const char *second = strstr(staged.stack, ", started by once at "),
               *third = strstr(staged.stack, ", started by task starter at ");
    EXPECT(strncmp(staged.stack, "once at ", 8) == 0);
    EXPECT(second && third && second < third);
    EXPECT_EQUAL(weft_async_stack(empty, sizeof(empty)), 0);
    EXPECT_TEXT(empty, "");
}

static void rearm_for_long(evutil_socket_t fd, short what, void *arg);

static struct {
    struct event_base *base;
    int left;
    char stack[8192];
} ladder;

static void climb(evutil_socket_t fd, short what, void *arg)
{
    rearm_for_long(fd, what, arg);
}

static void rearm_for_long(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    if (--ladder.left == 0)
        EXPECT(weft_async_stack(ladder.stack, sizeof(ladder.stack)) < sizeof(ladder.stack));
    else if (ladder.left % 2 == 0)
        EXPECT_EQUAL(event_base_once(ladder.base, -1, EV_TIMEOUT, climb, NULL, &at_once), 0);
    else
        EXPECT_EQUAL(event_base_once(ladder.base, -1, EV_TIMEOUT, rearm_for_long, NULL, &at_once), 0);
}

static int begin_ladder(void *arg)
{
    rearm_for_long(-1, 0, arg);
    return 0;
}

static size_t links_in(const char *stack)
{
    size_t links = 1;

    while ((stack = strstr(stack, ", started by "))) {
        links++;
        stack++;
    }
    return links;
}

static void an_async_stack_stays_short_however_long_events_schedule_events(void)
{
    ladder.base = event_base_new();
    ladder.left = 1000;
    EXPECT_EQUAL(weft_run_with("a", "1", begin_ladder, NULL), 0);
    EXPECT_EQUAL(event_base_dispatch(ladder.base), 1);
    event_base_free(ladder.base);
    EXPECT(links_in(ladder.stack) >= 8);
    EXPECT(links_in(ladder.stack) <= 17);
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
        CONFORMANCE_CASE(c67_a_hook_that_is_added_by_a_hook_is_told_from_the_next_event_on),
        CONFORMANCE_CASE(c67_a_hook_that_is_removed_by_a_hook_is_told_nothing_more),
        CONFORMANCE_CASE(c67_a_hook_may_remove_itself_and_the_others_are_told_all_the_same),
        CONFORMANCE_CASE(c67_what_a_hook_logs_schedules_and_sets_is_told_to_nobody),
        CONFORMANCE_CASE(c67_adding_twice_and_removing_twice_is_once),
        CONFORMANCE_CASE(c66_a_change_of_context_without_an_operation_is_told_to_nobody),
        CONFORMANCE_CASE(c66_after_always_comes_before_the_next_before),
        CONFORMANCE_CASE(an_async_stack_names_what_led_to_a_callback_the_latest_first),
        CONFORMANCE_CASE(an_async_stack_stays_short_however_long_events_schedule_events),
    };

    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
