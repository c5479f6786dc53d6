/* Hooks that add, remove, log and schedule: C67. */
#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/observer.h"

static const struct timeval at_once;

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
    struct event *event = evtimer_new(base, observer_call, NULL);

    EXPECT_EQUAL(event_add(event, &at_once), 0);
    event_free(event);
    return 0;
}

static void c67_a_hook_that_is_added_by_a_hook_is_told_from_the_next_event_on(void)
{
    struct event_base *base = event_base_new();
    struct observer late;
    struct changer changer = {.hook = {.init = change_hooks}, .other = &late.hook, .adds = true};

    observer_begin(&late, NULL, "1");
    weft_hook_remove(&late.hook);
    changer.hook.user = &changer;
    weft_hook_add(&changer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&changer.hook);
    observer_end(&late, "d");
    event_base_free(base);
}

static void c67_a_hook_that_is_removed_by_a_hook_is_told_nothing_more(void)
{
    struct event_base *base = event_base_new();
    struct observer gone;
    struct changer changer = {.hook = {.init = change_hooks}, .other = &gone.hook};

    changer.hook.user = &changer;
    weft_hook_add(&changer.hook);
    observer_begin(&gone, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&changer.hook);
    observer_end(&gone, "");
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
    observer_begin(&other, NULL, "1");
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    observer_end(&other, "xidid");
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

    observer_begin(&observer, NULL, "1");
    weft_hook_add(&observer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    weft_hook_remove(&observer.hook);
    weft_hook_remove(&observer.hook);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_and_end_one, base), 0);
    EXPECT_TEXT(trace, "id");
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c67_a_hook_that_is_added_by_a_hook_is_told_from_the_next_event_on),
        CONFORMANCE_CASE(c67_a_hook_that_is_removed_by_a_hook_is_told_nothing_more),
        CONFORMANCE_CASE(c67_a_hook_may_remove_itself_and_the_others_are_told_all_the_same),
        CONFORMANCE_CASE(c67_what_a_hook_logs_schedules_and_sets_is_told_to_nobody),
        CONFORMANCE_CASE(c67_adding_twice_and_removing_twice_is_once),
    };

    return cmocka_run_group_tests_name("hook_changes", tests, NULL, NULL);
}
