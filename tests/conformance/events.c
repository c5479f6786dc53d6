/* Plain libevent events, written as any program would: C27 to C32, C35, C39, C40. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "tests/conformance/harness.h"
#include "tests/support/trace.h"

static const struct timeval at_once;
static const struct timeval soon = {.tv_usec = 1000};

/* A callback, and what it is to see. */
struct probe {
    struct event_base *base;
    struct event *event;
    const char *wanted;
    int left; /* calls until it ends what it does */
};

static void look(evutil_socket_t fd, short what, void *arg)
{
    const struct probe *probe = arg;

    (void)fd;
    (void)what;
    trace_add('.');
    EXPECT_TEXT(weft_get("a"), probe->wanted);
}

/* Calls fn(arg) where `a` is `value`, or at the root. */
static void with(const char *value, int (*fn)(void *arg), void *arg)
{
    EXPECT_EQUAL(value ? weft_run_with("a", value, fn, arg) : weft_exit(fn, arg), 0);
}

static int add_at_once(void *event)
{
    return event_add(event, &at_once);
}

static int add_soon(void *event)
{
    return event_add(event, &soon);
}

static int add_for_long(void *event)
{
    return event_add(event, &(struct timeval){.tv_sec = 3600});
}

static int add_without_time(void *event)
{
    return event_add(event, NULL);
}

static struct event_base *begin(void)
{
    trace_clear();
    return event_base_new();
}

static long contexts_before;

static void end(struct event_base *base, const char *wanted_trace)
{
    event_base_free(base);
    EXPECT_TEXT(trace, wanted_trace);
}

/* ---- C27, C28: what an event that has fired, or is gone, still holds ---- */

static void c27_an_event_that_has_fired_holds_no_context(void)
{
    contexts_before = weft_contexts_alive();
    struct event_base *base = begin();
    struct probe probe = {.base = base, .wanted = "1"};
    struct event *event = evtimer_new(base, look, &probe);

    with("1", add_at_once, event);
    EXPECT_EQUAL(weft_contexts_alive(), contexts_before + 1);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    EXPECT_EQUAL(weft_contexts_alive(), contexts_before);
    event_free(event);
    end(base, ".");
}

static int add_once(void *arg)
{
    struct probe *probe = arg;

    return event_base_once(probe->base, -1, EV_TIMEOUT, look, probe, &soon);
}

static void c28_one_shot_timers_see_the_context_that_armed_them(void)
{
    struct event_base *base = begin();
    struct probe one = {.base = base, .wanted = "1"}, two = {.base = base, .wanted = "2"}, none = {.base = base};
    struct event *events[] = {evtimer_new(base, look, &one), evtimer_new(base, look, &two),
                              evtimer_new(base, look, &none)};

    with("1", add_at_once, events[0]);
    with("2", add_at_once, events[1]);
    with(NULL, add_at_once, events[2]);
    with("2", add_once, &two);
    with("1", add_once, &one);
    with(NULL, add_once, &none);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    for (size_t i = 0; i < 3; i++)
        event_free(events[i]);
    end(base, "......");
}

static void look_until_done(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;

    look(fd, what, arg);
    /* For this tick only: the next must not see it. */
    EXPECT_EQUAL(weft_set("a", "changed"), probe->wanted ? 0 : -EPERM);
    if (--probe->left == 0)
        EXPECT_EQUAL(event_del(probe->event), 0);
}

static void c28_c30_a_periodic_event_sees_its_context_on_every_tick_and_no_change_of_the_last(void)
{
    struct event_base *base = begin();
    struct probe one = {.wanted = "1", .left = 4}, none = {.left = 4};

    one.event = event_new(base, -1, EV_PERSIST, look_until_done, &one);
    none.event = event_new(base, -1, EV_PERSIST, look_until_done, &none);
    with("1", add_soon, one.event);
    with(NULL, add_soon, none.event);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(one.event);
    event_free(none.event);
    end(base, "........");
}

static void look_and_rearm(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;

    look(fd, what, arg);
    if (--probe->left > 0)
        EXPECT_EQUAL(event_add(probe->event, &at_once), 0);
}

static void c28_an_event_that_is_armed_by_its_own_callback_keeps_its_context(void)
{
    struct event_base *base = begin();
    struct probe probe = {.wanted = "1", .left = 5};

    probe.event = evtimer_new(base, look_and_rearm, &probe);
    with("1", add_at_once, probe.event);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(probe.event);
    end(base, ".....");
}

static void c28_a_descriptor_s_event_sees_the_context_that_added_it(void)
{
    struct event_base *base = begin();
    struct probe probe = {.wanted = "1", .left = 3};
    int ends[2];

    EXPECT_EQUAL(pipe(ends), 0);
    EXPECT_EQUAL(write(ends[1], "x", 1), 1);
    probe.event = event_new(base, ends[0], EV_READ | EV_PERSIST, look_until_done, &probe);
    with("1", add_without_time, probe.event);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(probe.event);
    (void)close(ends[0]);
    (void)close(ends[1]);
    end(base, "...");
}

/* ---- C29: enter and leave ---- */

static int add_first_and_second(void *arg)
{
    struct event **events = arg;

    EXPECT_EQUAL(event_add(events[0], &at_once), 0);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    return event_add(events[1], &at_once);
}

static void c29_a_change_reaches_what_is_armed_after_it_only(void)
{
    struct event_base *base = begin();
    struct probe one = {.wanted = "1"}, two = {.wanted = "2"};
    struct event *events[] = {evtimer_new(base, look, &one), evtimer_new(base, look, &two)};

    with("1", add_first_and_second, events);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(events[0]);
    event_free(events[1]);
    end(base, "..");
}

/* ---- C31, C32: arming again, and cancelling ---- */

static void c31_arming_a_pending_event_captures_anew(void)
{
    /* Node keeps the first context of a pending timer on refresh(); folly and weft capture at each arming, so that an
     * event never runs in a context that nobody waits in any more. */
    struct event_base *base = begin();
    struct probe two = {.wanted = "2"}, none = {0};
    struct event *again = evtimer_new(base, look, &two), *at_root = evtimer_new(base, look, &none);

    with("1", add_soon, again);
    with("2", add_soon, again);
    with("1", add_soon, at_root);
    with(NULL, add_soon, at_root);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(again);
    event_free(at_root);
    end(base, "..");
}

static void c32_cancelling_lets_go_of_the_context_though_the_event_lives(void)
{
    contexts_before = weft_contexts_alive();
    struct event_base *base = begin();
    struct probe probe = {.wanted = "1"};
    struct event *event = evtimer_new(base, look, &probe), embedded;
    int ends[2];

    EXPECT_EQUAL(pipe(ends), 0);
    EXPECT_EQUAL(event_assign(&embedded, base, ends[0], EV_READ, look, &probe), 0);
    with("1", add_soon, event);
    with("1", add_soon, &embedded);
    EXPECT_EQUAL(weft_contexts_alive(), contexts_before + 2);
    EXPECT_EQUAL(event_del(event), 0);
    EXPECT_EQUAL(event_remove_timer(&embedded), 0);
    EXPECT_EQUAL(event_del(&embedded), 0);
    EXPECT_EQUAL(weft_contexts_alive(), contexts_before);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    (void)close(ends[0]);
    (void)close(ends[1]);
    end(base, "");
}

static void look_and_free(evutil_socket_t fd, short what, void *arg)
{
    look(fd, what, arg);
    event_free(((struct probe *)arg)->event);
    EXPECT_TEXT(weft_get("a"), ((struct probe *)arg)->wanted);
}

static void c32_an_event_may_be_freed_by_its_own_callback(void)
{
    struct event_base *base = begin();
    struct probe once = {.wanted = "1"}, always = {.wanted = "2"};

    once.event = evtimer_new(base, look_and_free, &once);
    always.event = event_new(base, -1, EV_PERSIST, look_and_free, &always);
    with("1", add_at_once, once.event);
    with("2", add_soon, always.event);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    end(base, "..");
}

static void c32_a_base_that_is_freed_lets_go_of_what_never_fired(void)
{
    contexts_before = weft_contexts_alive();
    struct event_base *base = begin();
    struct probe probe = {.base = base, .wanted = "1"};
    struct event *event = evtimer_new(base, look, &probe);

    with("1", add_soon, event);
    with("1", add_once, &probe);
    end(base, "");
    EXPECT_EQUAL(weft_contexts_alive(), contexts_before);
    free(event);
}

/* ---- C35: signals ---- */

static void c35_a_signal_s_callback_sees_the_context_that_added_it_and_the_root_s_the_root(void)
{
    struct event_base *base = begin();
    struct probe one = {.wanted = "1", .left = 2}, none = {.left = 2};

    one.event = evsignal_new(base, SIGUSR1, look_until_done, &one);
    none.event = evsignal_new(base, SIGUSR2, look_until_done, &none);
    with("1", add_without_time, one.event);
    with(NULL, add_without_time, none.event);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQUAL(raise(SIGUSR1), 0);
        EXPECT_EQUAL(raise(SIGUSR2), 0);
        EXPECT_EQUAL(event_base_loop(base, EVLOOP_ONCE), 0);
    }
    event_free(one.event);
    event_free(none.event);
    end(base, "....");
}

/* ---- C39: a loop inside a callback ---- */

static void wait_in_an_inner_loop(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;
    struct event_base *inner = event_base_new();
    struct probe other = {.base = inner};
    struct event *timer = evtimer_new(inner, look, &other);

    look(fd, what, arg);
    with(NULL, add_at_once, timer);
    EXPECT_EQUAL(event_base_dispatch(inner), 1);
    EXPECT_TEXT(weft_get("a"), probe->wanted);
    event_free(timer);
    event_base_free(inner);
}

static void c39_what_fires_in_an_inner_loop_does_not_inherit_who_waits_for_it(void)
{
    struct event_base *base = begin();
    struct probe probe = {.wanted = "1"};
    struct event *event = evtimer_new(base, wait_in_an_inner_loop, &probe);

    with("1", add_at_once, event);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(event);
    end(base, "..");
}

/* ---- C40: event_active() and priorities ---- */

static int activate(void *event)
{
    event_active(event, EV_TIMEOUT, 1);
    return 0;
}

static void c40_an_event_that_waits_keeps_its_context_whoever_activates_it(void)
{
    struct event_base *base = begin();
    struct probe one = {.wanted = "1"}, none = {0};
    struct event *added = evtimer_new(base, look, &one), *of_root = evtimer_new(base, look, &none);

    with("1", add_for_long, added);
    with("2", activate, added);
    with(NULL, add_for_long, of_root);
    with("2", activate, of_root);
    EXPECT_EQUAL(event_base_loop(base, EVLOOP_NONBLOCK), 1);
    event_free(added);
    event_free(of_root);
    end(base, "..");
}

static void c40_an_event_that_waits_for_nothing_sees_the_context_that_activates_it(void)
{
    struct event_base *base = begin();
    struct probe one = {.wanted = "1"}, two = {.wanted = "2"};
    struct event *once = event_new(base, -1, 0, look, &one), *always = event_new(base, -1, EV_PERSIST, look, &two);

    EXPECT_EQUAL(event_base_priority_init(base, 3), 0);
    EXPECT_EQUAL(event_priority_set(once, 2), 0);
    EXPECT_EQUAL(event_priority_set(always, 0), 0);
    with("1", activate, once);
    with("2", activate, always);
    with("2", activate, once);
    EXPECT_EQUAL(event_base_loop(base, EVLOOP_NONBLOCK), 1);
    one.wanted = two.wanted = NULL;
    with(NULL, activate, once);
    with(NULL, activate, always);
    EXPECT_EQUAL(event_base_loop(base, EVLOOP_NONBLOCK), 1);
    event_free(once);
    event_free(always);
    end(base, "....");
}

/* ---- An event can still be asked what it is ---- */

static int add_and_ask(void *arg)
{
    struct probe *probe = arg;
    event_callback_fn callback = NULL;
    void *found = NULL;

    EXPECT_EQUAL(event_add(probe->event, &soon), 0);
    EXPECT(event_get_callback(probe->event) == look);
    EXPECT(event_get_callback_arg(probe->event) == probe);
    event_get_assignment(probe->event, NULL, NULL, NULL, &callback, &found);
    EXPECT(callback == look && found == probe);
    return 0;
}

static void an_event_that_is_followed_tells_its_own_callback(void)
{
    struct event_base *base = begin();
    struct probe probe = {.wanted = "1"};

    probe.event = evtimer_new(base, look, &probe);
    with("1", add_and_ask, &probe);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    event_free(probe.event);
    end(base, ".");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c27_an_event_that_has_fired_holds_no_context),
        CONFORMANCE_CASE(c28_one_shot_timers_see_the_context_that_armed_them),
        CONFORMANCE_CASE(c28_c30_a_periodic_event_sees_its_context_on_every_tick_and_no_change_of_the_last),
        CONFORMANCE_CASE(c28_an_event_that_is_armed_by_its_own_callback_keeps_its_context),
        CONFORMANCE_CASE(c28_a_descriptor_s_event_sees_the_context_that_added_it),
        CONFORMANCE_CASE(c29_a_change_reaches_what_is_armed_after_it_only),
        CONFORMANCE_CASE(c31_arming_a_pending_event_captures_anew),
        CONFORMANCE_CASE(c32_cancelling_lets_go_of_the_context_though_the_event_lives),
        CONFORMANCE_CASE(c32_an_event_may_be_freed_by_its_own_callback),
        CONFORMANCE_CASE(c32_a_base_that_is_freed_lets_go_of_what_never_fired),
        CONFORMANCE_CASE(c35_a_signal_s_callback_sees_the_context_that_added_it_and_the_root_s_the_root),
        CONFORMANCE_CASE(c39_what_fires_in_an_inner_loop_does_not_inherit_who_waits_for_it),
        CONFORMANCE_CASE(c40_an_event_that_waits_keeps_its_context_whoever_activates_it),
        CONFORMANCE_CASE(c40_an_event_that_waits_for_nothing_sees_the_context_that_activates_it),
        CONFORMANCE_CASE(an_event_that_is_followed_tells_its_own_callback),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
