/* The async stack: how the running code came to run. */
#include <event2/event.h>

#include <weft/hooks.h>

#include "tests/conformance/harness.h"
#include "tests/support/loop_support.h"

static const struct timeval at_once;

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
        CONFORMANCE_CASE(an_async_stack_names_what_led_to_a_callback_the_latest_first),
        CONFORMANCE_CASE(an_async_stack_stays_short_however_long_events_schedule_events),
    };

    return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
