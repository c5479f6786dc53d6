/*
 * How others' contexts have failed their users: C18, C42, C61, C62, and the failure modes that no other file here is
 * about. The numbers of the modes are those of docs/CONTEXT.md.
 */
#include <stdlib.h>

#include <event2/event.h>

#include <weft/hooks.h>
#include <weft/log.h>

#include "context/task/loop.h"
#include "tests/conformance/harness.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static const struct timeval at_once;

/* ---- C18 ---- */

static int hide_a(void *arg)
{
    struct weft_bound *other = arg;

    EXPECT_EQUAL(weft_unset("a"), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
    return weft_call(other);
}

static int expect_a_is_1(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static int bind_and_hide(void *arg)
{
    struct weft_bound other;

    weft_bind(&other, expect_a_is_1, arg);
    EXPECT_EQUAL(weft_run(hide_a, &other), 0);
    weft_unbind(&other);
    return expect_a_is_1(arg);
}

static void c18_nobody_can_switch_a_value_off_for_others(void)
{
    /* Node's disable() takes a storage from everybody who shares the frame. Values of weft are not registered, and
     * hiding one is a change like any other: of the own context, until its end. */
    EXPECT_EQUAL(weft_run_with("a", "1", bind_and_hide, NULL), 0);
}

/* ---- C42 ---- */

static void note_letter(const struct weft_operation *operation, char letter)
{
    if (strcmp(operation->kind, "bound") == 0) {
        EXPECT_TEXT(weft_get("a"), "emitter");
        trace_add(letter);
    }
}

static void note_before(const struct weft_operation *operation, void *user)
{
    (void)user;
    note_letter(operation, 'b');
}

static void note_after(const struct weft_operation *operation, void *user)
{
    (void)user;
    note_letter(operation, 'a');
}

static void note_destroy(const struct weft_operation *operation, void *user)
{
    (void)user;
    note_letter(operation, 'd');
}

static int listen_to_emitter(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "emitter");
    trace_add('.');
    return 0;
}

static int make_emitter(void *emitter)
{
    weft_bind(emitter, listen_to_emitter, NULL);
    return 0;
}

static int emit(void *emitter)
{
    EXPECT_TEXT(weft_get("a"), "caller");
    EXPECT_EQUAL(weft_call(emitter), 0);
    EXPECT_TEXT(weft_get("a"), "caller");
    return 0;
}

static void c42_an_emitter_with_a_context_emits_there_and_hooks_are_told_once(void)
{
    struct weft_hook hook = {.before = note_before, .after = note_after, .destroy = note_destroy};
    struct weft_bound emitter;

    trace_clear();
    weft_hook_add(&hook);
    EXPECT_EQUAL(weft_run_with("a", "emitter", make_emitter, &emitter), 0);
    EXPECT_EQUAL(weft_run_with("a", "caller", emit, &emitter), 0);
    EXPECT_EQUAL(weft_run_with("a", "caller", emit, &emitter), 0);
    weft_unbind(&emitter);
    weft_hook_remove(&hook);
    EXPECT_TEXT(trace, "b.ab.ad");
}

/* ---- C61, C62 ---- */

static int report_again(void *arg)
{
    (void)arg;
    weft_error("and reporting it failed");
    return 0;
}

static void report(struct weft_task *task, int result, void *user)
{
    (void)task;
    (void)user;
    if (result < 0) {
        weft_error("a task failed");
        (void)weft_run_with("b", "inner", report_again, NULL);
        weft_error("but that is over");
    }
}

static int fail_with_eio(void *arg)
{
    (void)arg;
    return -EIO;
}

static int spawn_failing(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("failing", fail_with_eio, NULL) != NULL);
    return 0;
}

static void c61_errors_are_reported_in_the_context_that_failed_those_of_reporting_too(void)
{
    static const struct loop_observer observer = {.task_ended = report};
    struct loop_support support = loop_support_begin();
    struct log_capture log;

    loop_observe(support.loop, &observer);
    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_failing, NULL), 0);
    loop_support_end(&support);
    log_capture_end();
    EXPECT_EQUAL(log.count, 3);
    for (int i = 0; i < 3; i++)
        EXPECT_TEXT(log.subjects[i], "1");
}

static int fail_inside(void *arg)
{
    (void)arg;
    weft_error("this is where");
    return -EIO;
}

static int fail_outside(void *arg)
{
    int r = weft_run_with("a", "inner", fail_inside, arg);

    weft_error("this is what came of it: %d", r);
    return r;
}

static void c62_an_error_is_a_number_and_its_line_has_the_innermost_context(void)
{
    /* cls-hooked attaches the context to the error object. An error of C is a number, which anybody may pass on: what
     * tells where it came from is the line that is written there. */
    struct log_capture log;

    log_capture_begin(&log, "a");
    EXPECT_EQUAL(weft_run_with("a", "outer", fail_outside, NULL), -EIO);
    log_capture_end();
    EXPECT_EQUAL(log.count, 2);
    EXPECT_TEXT(log.subjects[0], "inner");
    EXPECT_TEXT(log.subjects[1], "outer");
}

/* ---- 7: values that cannot be seen any more are kept ---- */

static int released;

static void count_release(void *pointer)
{
    (void)pointer;
    released++;
}

static int shadow_and_capture(void *ret_context)
{
    static char second[] = "second";

    EXPECT_EQUAL(weft_set_pointer("p", second, NULL), 0);
    *(struct weft_context **)ret_context = weft_capture();
    return 0;
}

static int set_and_shadow(void *ret_context)
{
    static char first[] = "first";

    EXPECT_EQUAL(weft_set_pointer("p", first, count_release), 0);
    EXPECT_EQUAL(weft_run(shadow_and_capture, ret_context), 0);
    EXPECT_EQUAL(released, 0);
    return 0;
}

static void failure_7_a_value_that_is_shadowed_is_not_kept_by_who_cannot_see_it(void)
{
    struct weft_context *context = NULL;

    released = 0;
    EXPECT_EQUAL(weft_run(set_and_shadow, &context), 0);
    EXPECT_EQUAL(released, 1);
    (void)weft_context_unref(context);
}

/* ---- 8: a change leaks by way of whoever resumes ---- */

static struct weft_future wanted;

static int change_and_complete(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "of the resolver"), 0);
    weft_future_complete(&wanted, 0);
    return 0;
}

static int wait_for_other(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("resolver", change_and_complete, NULL) != NULL);
    EXPECT_EQUAL(weft_future_wait(&wanted, NULL), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static int spawn_waiting(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("waiting", wait_for_other, NULL) != NULL);
    return 0;
}

static void failure_8_what_a_resolver_sets_does_not_reach_whom_it_resumes(void)
{
    struct loop_support support = loop_support_begin();

    weft_future_init(&wanted);
    EXPECT_EQUAL(weft_run_with("a", "1", spawn_waiting, NULL), 0);
    loop_support_end(&support);
}

/* ---- 9: contexts that grow with every instance of something ---- */

static int set_many(void *arg)
{
    char name[16];
    int r = 0;

    (void)arg;
    for (int i = 0; i < 2 * WEFT_CONTEXT_VALUES_MAX && r == 0; i++) {
        (void)snprintf(name, sizeof(name), "instance-%d", i);
        r = weft_set(name, "1");
    }
    EXPECT_TEXT(weft_get("instance-0"), "1");
    return r;
}

static void failure_9_a_context_that_grows_with_every_instance_is_refused(void)
{
    EXPECT_EQUAL(weft_run(set_many, NULL), -E2BIG);
}

/* ---- 13: a chain of events that has no end ---- */

static struct {
    struct event *event;
    int left;
    long contexts;
} chain;

static void rearm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_contexts_alive(), chain.contexts);
    if (--chain.left > 0)
        EXPECT_EQUAL(event_add(chain.event, &at_once), 0);
}

static int begin_chain(void *arg)
{
    (void)arg;
    chain.contexts = weft_contexts_alive();
    return event_add(chain.event, &at_once);
}

static void failure_13_a_chain_without_end_holds_one_context_and_no_history(void)
{
    struct event_base *base = event_base_new();

    chain.left = 10000;
    chain.event = evtimer_new(base, rearm, NULL);
    EXPECT_EQUAL(weft_run_with("a", "1", begin_chain, NULL), 0);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    EXPECT_EQUAL(chain.left, 0);
    event_free(chain.event);
    event_base_free(base);
}

/* ---- 14: background work goes on with what belonged to the request ---- */

static int expect_identity_only(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT(weft_get_pointer("transaction") == NULL);
    EXPECT_EQUAL(released, 1);
    return 0;
}

static int spawn_without_transaction(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_unset("transaction"), 0);
    EXPECT(weft_spawn("background", expect_identity_only, NULL) != NULL);
    return 0;
}

static int request(void *transaction)
{
    EXPECT_EQUAL(weft_set_pointer("transaction", transaction, count_release), 0);
    return weft_run(spawn_without_transaction, NULL);
}

static void failure_14_background_work_can_leave_behind_what_ends_with_the_request(void)
{
    struct loop_support support = loop_support_begin();
    static char transaction[] = "transaction";

    released = 0;
    EXPECT_EQUAL(weft_run_with("a", "1", request, transaction), 0);
    EXPECT_EQUAL(released, 1);
    loop_support_end(&support);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c18_nobody_can_switch_a_value_off_for_others),
        CONFORMANCE_CASE(c42_an_emitter_with_a_context_emits_there_and_hooks_are_told_once),
        CONFORMANCE_CASE(c61_errors_are_reported_in_the_context_that_failed_those_of_reporting_too),
        CONFORMANCE_CASE(c62_an_error_is_a_number_and_its_line_has_the_innermost_context),
        CONFORMANCE_CASE(failure_7_a_value_that_is_shadowed_is_not_kept_by_who_cannot_see_it),
        CONFORMANCE_CASE(failure_8_what_a_resolver_sets_does_not_reach_whom_it_resumes),
        CONFORMANCE_CASE(failure_9_a_context_that_grows_with_every_instance_is_refused),
        CONFORMANCE_CASE(failure_13_a_chain_without_end_holds_one_context_and_no_history),
        CONFORMANCE_CASE(failure_14_background_work_can_leave_behind_what_ends_with_the_request),
    };

    return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
