/* Events that fire in an inner loop, or because somebody says so: C39, C40. */
#include "tests/conformance/harness.h"
#include "tests/support/probe.h"

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
        CONFORMANCE_CASE(c39_what_fires_in_an_inner_loop_does_not_inherit_who_waits_for_it),
        CONFORMANCE_CASE(c40_an_event_that_waits_keeps_its_context_whoever_activates_it),
        CONFORMANCE_CASE(c40_an_event_that_waits_for_nothing_sees_the_context_that_activates_it),
        CONFORMANCE_CASE(an_event_that_is_followed_tells_its_own_callback),
    };

    return cmocka_run_group_tests_name("event_active", tests, NULL, NULL);
}
