/* What events, tasks and threads cost. */
#include <stdlib.h>

#include <event2/event.h>

#include <weft/context.h>
#include <weft/loop.h>
#include <weft/task.h>

#include "context/task/loop.h"
#include "tests/bench/context_turn.h"
#include "tests/bench/context_weft.h"

enum { EVENTS = 6400, SWITCHES = 20000, TASKS = 1000, YIELDS = 20, OFFLOADS = 200 };

static void give_up(void)
{
    perror("context_weft");
    exit(EXIT_FAILURE);
}

/* ---- Events ---- */

static void turn_in_context(struct timing *timing)
{
    bench_in_context(timing->values, 1, turn_arm_anew, timing);
}

static void turn_again_in_context(struct timing *timing)
{
    bench_in_context(timing->values, 1, turn_arm_again, timing);
}

void bench_turns(void)
{
    struct timing timings[] = {
        {"event, root", turn_in_context, EVENTS, 0, 0},
        {"event, context", turn_in_context, EVENTS, 10, 0},
        {"event again, root", turn_again_in_context, EVENTS, 0, 0},
        {"event again, context", turn_again_in_context, EVENTS, 10, 0},
    };

    if (turn_begin() < 0)
        give_up();
    timing_run(timings, sizeof(timings) / sizeof(*timings));
    turn_end();
}

/* ---- Fibers ---- */

static void suspend_for_ever(void *arg)
{
    struct coroutine *const *coroutine = arg;

    for (;;)
        coroutine_suspend(*coroutine);
}

static struct coroutine_pool *pool;
static struct coroutine *fiber;

static void round_trip(struct timing *timing)
{
    TIMED(timing, coroutine_resume(fiber));
}

/* The fiber never ends, and its pool is not freed. */
static void begin_fiber(void)
{
    if (coroutine_pool_new(LOOP_STACK_SIZE, &pool) < 0 || coroutine_get(pool, suspend_for_ever, &fiber, &fiber) < 0)
        give_up();
    coroutine_resume(fiber);
}

/* ---- Tasks ---- */

static struct event_base *base;
static struct weft_loop *loop;

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int yield_often(void *arg)
{
    for (int i = 0; i < YIELDS; i++)
        (void)weft_sleep_ms(0);
    (void)arg;
    return 0;
}

static int spawn_one(void *fn)
{
    return weft_spawn("one", *(int (**)(void *))fn, NULL) ? 0 : -1;
}

/* Each in a context of its own, or all in the one that is current. */
static void spawn_many(struct timing *timing, int (*fn)(void *arg), bool in_own_context)
{
    double began = timing_now_ns();

    for (size_t i = 0; i < TASKS; i++) {
        int r = in_own_context ? weft_run_with("user", "another", spawn_one, &fn) : spawn_one(&fn);
        if (r < 0)
            give_up();
    }
    (void)event_base_dispatch(base);
    timing_note(timing, began, timing->count);
}

static void spawn_here(struct timing *timing)
{
    spawn_many(timing, end_at_once, false);
}

static void spawn(struct timing *timing)
{
    bench_in_context(timing->values, 1, spawn_here, timing);
}

static void yield_here(struct timing *timing)
{
    spawn_many(timing, yield_often, false);
}

static void yield_in_one_context(struct timing *timing)
{
    bench_in_context(timing->values, 1, yield_here, timing);
}

static void yield_apart_here(struct timing *timing)
{
    spawn_many(timing, yield_often, true);
}

static void yield_in_many_contexts(struct timing *timing)
{
    bench_in_context(timing->values, 1, yield_apart_here, timing);
}

static void begin_loop(void)
{
    base = event_base_new();
    if (!base || weft_loop_new(base, &loop) < 0)
        give_up();
}

static void end_loop(void)
{
    loop = weft_loop_free(loop);
    event_base_free(base);
}

void bench_tasks(void)
{
    struct timing timings[] = {
        {"fiber", round_trip, SWITCHES, 0, 0},
        {"spawn", spawn, TASKS, 10, 0},
        {"yield, same", yield_in_one_context, (size_t)TASKS * YIELDS, 10, 0},
        {"yield, different", yield_in_many_contexts, (size_t)TASKS * YIELDS, 10, 0},
    };

    begin_fiber();
    begin_loop();
    timing_run(timings, sizeof(timings) / sizeof(*timings));
    end_loop();
}

/* ---- Threads ---- */

static int offload_often(void *timing)
{
    TIMED((struct timing *)timing, (void)weft_offload(end_at_once, NULL, NULL));
    return 0;
}

static int spawn_offloading(void *timing)
{
    return weft_spawn("offload", offload_often, timing) ? 0 : -1;
}

static void offload_here(struct timing *timing)
{
    if (spawn_offloading(timing) < 0)
        give_up();
    (void)event_base_dispatch(base);
}

static void offload(struct timing *timing)
{
    bench_in_context(timing->values, 1, offload_here, timing);
}

void bench_offload(void)
{
    struct timing timings[] = {{"offload", offload, OFFLOADS, 10, 0}};

    begin_loop();
    timing_run(timings, sizeof(timings) / sizeof(*timings));
    end_loop();
}
