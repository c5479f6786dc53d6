#include "tests/bench/context_turn.h"

#include <event2/event.h>

/* So many that the system calls of a turn do not count for much. */
enum { TIMERS = 64 };

static const struct timeval at_once;

static struct event_base *base;
static struct event *fire_once[TIMERS];
static struct event *fire_again[TIMERS];
static size_t left;

static void arm_all(struct event *const events[static TIMERS])
{
    for (size_t i = 0; i < TIMERS; i++)
        (void)event_add(events[i], &at_once);
}

/* The last of a set arms all of them, from inside the loop, as programs do. */
static void count_down(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    left--;
    if (left > 0 && left % TIMERS == 0)
        arm_all(fire_once);
}

static void count_down_and_arm(evutil_socket_t fd, short what, void *arg)
{
    struct event *const *event = arg;

    (void)fd;
    (void)what;
    if (left > TIMERS)
        (void)event_add(*event, &at_once);
    left--;
}

int turn_begin(void)
{
    base = event_base_new();
    if (!base)
        return -1;
    for (size_t i = 0; i < TIMERS; i++) {
        fire_once[i] = evtimer_new(base, count_down, NULL);
        fire_again[i] = evtimer_new(base, count_down_and_arm, &fire_again[i]);
        if (!fire_once[i] || !fire_again[i])
            return -1;
    }
    return 0;
}

void turn_end(void)
{
    for (size_t i = 0; i < TIMERS; i++) {
        event_free(fire_once[i]);
        event_free(fire_again[i]);
    }
    event_base_free(base);
}

void turn_arm_anew(struct timing *timing)
{
    double began = timing_now_ns();

    left = timing->count;
    arm_all(fire_once);
    (void)event_base_dispatch(base);
    timing_note(timing, began, timing->count);
}

void turn_arm_again(struct timing *timing)
{
    double began = timing_now_ns();

    left = timing->count;
    arm_all(fire_again);
    (void)event_base_dispatch(base);
    timing_note(timing, began, timing->count);
}
