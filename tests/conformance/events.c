/* Plain libevent events, written as any program would: C27 to C32, C35. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/conformance/harness.h"
#include "tests/support/probe.h"

static long contexts_before;

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
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
