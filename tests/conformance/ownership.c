/*
 * Whose a record is: loops inside of loops, callbacks that wait in the middle of them while others go on, and loops
 * that have ended before what was armed in them. Whoever looks at operations meanwhile finds what is true.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "context/async/operation.h"
#include "tests/conformance/harness.h"
#include "tests/support/loop_support.h"

static const struct timeval at_once, soon = {.tv_usec = 1}, never = {.tv_sec = 1000};

/* ---- Looking, as `weft ps` does ---- */

struct sight {
    const char *kind; /* what is looked for */
    unsigned count;
    unsigned running; /* of these, those whose callbacks run for the last time */
    char value[32];   /* of `a` in the context of the last one that does not */
    char value_of_running[32];
};

static int see(const struct operation *operation, void *arg)
{
    struct sight *sight = arg;
    char words[OPERATION_DESCRIPTION_SIZE], stack[512];
    struct frame_key key = frame_key("a");
    struct frame_found found;

    operation_describe(operation, words);
    (void)operation_since_us(operation);
    (void)operation_stack(operation, stack, sizeof(stack));
    bool has_value = frame_find(operation->info.context, &key, &found);
    (void)frame_owner(operation->info.context);
    if (strcmp(operation->info.kind, sight->kind) != 0)
        return 0;
    bool is_running = strstr(words, "its callback runs") != NULL;
    sight->count++;
    sight->running += is_running;
    (void)snprintf(is_running ? sight->value_of_running : sight->value, sizeof(sight->value), "%s",
                   has_value ? found.text : "");
    return 0;
}

static struct sight look_for(const char *kind)
{
    struct sight sight = {.kind = kind};

    EXPECT_EQUAL(operation_each(see, &sight), 0);
    return sight;
}

static int count(const struct operation *operation, void *arg)
{
    (void)operation;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned operations(void)
{
    unsigned found = 0;

    (void)operation_each(count, &found);
    return found;
}

/* ---- A callback that waits in a loop of its job's own ---- */

enum way { BY_TIMER, BY_FD, BY_SIGNAL, BY_ONCE, BY_ACTIVE, BY_PERSISTENT, WAYS };

static const char *const kinds[] = {"timer", "fd", "signal", "once", "timer", "timer"};

enum change {
    CHANGES_NOTHING,
    SETS_ONE,
    SETS_MANY,
    UNSETS,
    SETS_IN_A_RUN,
    SETS_IN_A_SCOPE,
    REARMS,
    REARMS_AND_SETS,
    CHANGES
};

struct waiter {
    enum way way;
    enum change change;
    struct weft_future in, go_on;
    struct event_base *base;
    struct event *event;
    int pipe[2];
    unsigned calls;
};

static int set_two(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "of the run"), 0);
    EXPECT_EQUAL(weft_set("z", "0"), 0);
    return *(int *)arg;
}

static void rearm(const struct waiter *waiter)
{
    if (waiter->event && waiter->way != BY_PERSISTENT) /* which is armed */
        EXPECT_EQUAL(event_add(waiter->event, &never), 0);
}

static void change(const struct waiter *waiter)
{
    static int nothing;
    char name[] = "b0";

    switch (waiter->change) {
    case REARMS:
        rearm(waiter);
        break;
    case REARMS_AND_SETS:
        rearm(waiter);
        EXPECT_EQUAL(weft_set("a", "new"), 0);
        break;
    case SETS_ONE:
        EXPECT_EQUAL(weft_set("a", "new"), 0);
        break;
    case SETS_MANY:
        EXPECT_EQUAL(weft_set("a", "new"), 0);
        for (; name[1] <= '9'; name[1]++)
            EXPECT_EQUAL(weft_set(name, name), 0);
        break;
    case UNSETS:
        EXPECT_EQUAL(weft_unset("a"), 0);
        break;
    case SETS_IN_A_RUN:
        EXPECT_EQUAL(weft_run(set_two, &nothing), 0);
        break;
    case SETS_IN_A_SCOPE: {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "of the scope"), 0);
        EXPECT_EQUAL(weft_set("y", "0"), 0);
        break;
    }
    case CHANGES_NOTHING:
    case CHANGES:
        break;
    }
}

static const char *wanted_after(enum change change)
{
    if (change == UNSETS)
        return NULL;
    return change == SETS_ONE || change == SETS_MANY || change == REARMS_AND_SETS ? "new" : "1";
}

static void wait_inside(evutil_socket_t fd, short what, void *arg)
{
    struct waiter *waiter = arg;

    (void)fd;
    (void)what;
    if (waiter->calls++ > 0)
        return;
    EXPECT_TEXT(weft_get("a"), "1");
    change(waiter);
    EXPECT_TEXT(weft_get("a"), wanted_after(waiter->change));
    weft_future_complete(&waiter->in, 0);
    EXPECT_EQUAL(weft_future_wait(&waiter->go_on, NULL), 0);
    EXPECT_TEXT(weft_get("a"), wanted_after(waiter->change));
    (void)event_base_loopbreak(waiter->base);
}

static void schedule(struct waiter *waiter)
{
    switch (waiter->way) {
    case BY_FD:
        EXPECT_EQUAL(pipe(waiter->pipe), 0);
        EXPECT_EQUAL(write(waiter->pipe[1], "x", 1), 1);
        waiter->event = event_new(waiter->base, waiter->pipe[0], EV_READ, wait_inside, waiter);
        break;
    case BY_SIGNAL:
        waiter->event = event_new(waiter->base, SIGUSR2, EV_SIGNAL, wait_inside, waiter);
        break;
    case BY_ONCE:
        EXPECT_EQUAL(event_base_once(waiter->base, -1, EV_TIMEOUT, wait_inside, waiter, &at_once), 0);
        return;
    case BY_ACTIVE:
        waiter->event = event_new(waiter->base, -1, 0, wait_inside, waiter);
        event_active(waiter->event, EV_TIMEOUT, 1);
        return;
    case BY_PERSISTENT:
        waiter->event = event_new(waiter->base, -1, EV_PERSIST, wait_inside, waiter);
        break;
    case BY_TIMER:
    case WAYS:
        waiter->event = evtimer_new(waiter->base, wait_inside, waiter);
        break;
    }
    EXPECT_EQUAL(event_add(waiter->event, waiter->way == BY_FD || waiter->way == BY_SIGNAL ? NULL : &soon), 0);
    if (waiter->way == BY_SIGNAL)
        EXPECT_EQUAL(raise(SIGUSR2), 0);
}

static int run_own_loop(void *arg)
{
    struct waiter *waiter = arg;

    waiter->base = event_base_new();
    schedule(waiter);
    EXPECT(event_base_loop(waiter->base, 0) >= 0);
    if (waiter->event)
        event_free(waiter->event);
    event_base_free(waiter->base);
    if (waiter->way == BY_FD) {
        (void)close(waiter->pipe[0]);
        (void)close(waiter->pipe[1]);
    }
    return 0;
}

static int spawn_waiter(void *arg)
{
    EXPECT(weft_spawn("job", run_own_loop, arg) != NULL);
    return 0;
}

static int look_while_it_waits(void *arg)
{
    struct waiter *waiter = arg;

    EXPECT_EQUAL(weft_run_with("a", "1", spawn_waiter, waiter), 0);
    EXPECT_EQUAL(weft_future_wait(&waiter->in, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct sight sight = look_for(kinds[waiter->way]);
        bool is_rearmed = waiter->event && waiter->way != BY_PERSISTENT &&
                          (waiter->change == REARMS || waiter->change == REARMS_AND_SETS);
        const char *value = wanted_after(waiter->change) ? wanted_after(waiter->change) : "";

        /* What is armed again has what it was armed in, and so has what may be called once more. */
        EXPECT_EQUAL(sight.count, is_rearmed ? 2 : 1);
        if (waiter->way == BY_ONCE) {
            EXPECT_TEXT(sight.value, value);
        } else {
            EXPECT_EQUAL(sight.running, waiter->way != BY_PERSISTENT);
            EXPECT_TEXT(sight.value_of_running, waiter->way == BY_PERSISTENT ? "" : value);
            EXPECT_TEXT(sight.value, is_rearmed || waiter->way == BY_PERSISTENT ? "1" : "");
        }
    }
    weft_future_complete(&waiter->go_on, 0);
    return 0;
}

static void whoever_looks_while_a_callback_waits_sees_what_it_holds(void)
{
    for (enum way way = 0; way < WAYS; way++)
        for (enum change change_made = 0; change_made < CHANGES; change_made++) {
            struct waiter waiter = {.way = way, .change = change_made};

            weft_future_init(&waiter.in);
            weft_future_init(&waiter.go_on);
            loop_support_run(look_while_it_waits, &waiter);
            EXPECT_EQUAL(operations(), 0);
        }
}

/* ---- Several at once, in every order ---- */

enum { JOBS = 3 };

struct jobs {
    struct waiter waiters[JOBS];
    char values[JOBS][2];
    unsigned order[JOBS];
    unsigned ended;
};

static void wait_for_turn(evutil_socket_t fd, short what, void *arg)
{
    struct waiter *waiter = arg;
    char own[32];

    (void)fd;
    (void)what;
    (void)snprintf(own, sizeof(own), "%s", weft_get("a"));
    if (waiter->calls++ == 0) {
        weft_future_complete(&waiter->in, 0);
        EXPECT_EQUAL(weft_future_wait(&waiter->go_on, NULL), 0);
        EXPECT_TEXT(weft_get("a"), own);
        EXPECT_EQUAL(event_add(waiter->event, &at_once), 0);
    }
    EXPECT_TEXT(weft_get("a"), own);
}

static int run_loop_with_timer(void *arg)
{
    struct waiter *waiter = arg;
    char own[32];

    (void)snprintf(own, sizeof(own), "%s", weft_get("a"));
    waiter->base = event_base_new();
    waiter->event = evtimer_new(waiter->base, wait_for_turn, waiter);
    EXPECT_EQUAL(evtimer_add(waiter->event, &at_once), 0);
    EXPECT_EQUAL(event_base_dispatch(waiter->base), 1);
    EXPECT_EQUAL(waiter->calls, 2);
    EXPECT_TEXT(weft_get("a"), own);
    event_free(waiter->event);
    event_base_free(waiter->base);
    return 0;
}

static int spawn_in_order(void *arg)
{
    struct jobs *jobs = arg;

    for (unsigned i = 0; i < JOBS; i++) {
        struct waiter *waiter = &jobs->waiters[i];

        EXPECT_EQUAL(weft_set("a", jobs->values[i]), 0);
        EXPECT(weft_spawn("job", run_loop_with_timer, waiter) != NULL);
        EXPECT_EQUAL(weft_future_wait(&waiter->in, NULL), 0);
    }
    struct sight sight = look_for("timer");
    EXPECT_EQUAL(sight.count, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        weft_future_complete(&jobs->waiters[jobs->order[i]].go_on, 0);
        EXPECT_EQUAL(weft_sleep_ms(1), 0); /* it ends meanwhile, or soon after */
        (void)look_for("timer");
    }
    return 0;
}

static void loops_whose_callbacks_wait_end_in_any_order(void)
{
    static const unsigned orders[][JOBS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
        struct jobs jobs = {.values = {"1", "2", "3"}};

        memcpy(jobs.order, orders[i], sizeof(jobs.order));
        for (unsigned job = 0; job < JOBS; job++) {
            weft_future_init(&jobs.waiters[job].in);
            weft_future_init(&jobs.waiters[job].go_on);
        }
        loop_support_run(spawn_in_order, &jobs);
        EXPECT_EQUAL(operations(), 0);
    }
}

/* ---- Armed by the thread of a loop that has ended ---- */

enum end { BY_FREE, BY_DEL_AND_FREE, BY_BASE, BY_ARMING_AGAIN, BY_RUNNING_IT_HERE, ENDS };

struct left {
    struct event_base *base;
    struct event *event;
    struct bufferevent *pair[2];
    unsigned fired;
    bool thread_stays;
    pthread_barrier_t loop_has_ended, event_is_freed;
};

static void note_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ++((struct left *)arg)->fired;
}

static void note_data(struct bufferevent *bufferevent, void *arg)
{
    (void)bufferevent;
    (void)arg;
}

static void arm_what_is_left(evutil_socket_t fd, short what, void *arg)
{
    struct left *left = arg;

    (void)fd;
    (void)what;
    left->event = evtimer_new(left->base, note_fired, left);
    EXPECT_EQUAL(evtimer_add(left->event, &never), 0);
    EXPECT_EQUAL(bufferevent_pair_new(left->base, 0, left->pair), 0);
    bufferevent_setcb(left->pair[0], note_data, note_data, NULL, left);
    EXPECT_EQUAL(event_base_loopbreak(left->base), 0);
}

static int run_for_a_while(void *arg)
{
    struct left *left = arg;

    EXPECT_EQUAL(event_base_once(left->base, -1, EV_TIMEOUT, arm_what_is_left, left, &at_once), 0);
    EXPECT(event_base_dispatch(left->base) >= 0);
    return 0;
}

static void *run_and_end(void *arg)
{
    struct left *left = arg;

    EXPECT_EQUAL(weft_run_with("a", "of the thread", run_for_a_while, left), 0);
    if (left->thread_stays) {
        (void)pthread_barrier_wait(&left->loop_has_ended);
        (void)pthread_barrier_wait(&left->event_is_freed);
    }
    return NULL;
}

static int arm_again(void *event)
{
    return event_add(event, &never);
}

static void end_by(struct left *left, enum end end)
{
    switch (end) {
    case BY_DEL_AND_FREE:
        EXPECT_EQUAL(event_del(left->event), 0);
        break;
    case BY_ARMING_AGAIN:
        EXPECT_EQUAL(weft_run_with("a", "of main", arm_again, left->event), 0);
        EXPECT_EQUAL(look_for("timer").count, 1);
        EXPECT_TEXT(look_for("timer").value, "of main");
        break;
    case BY_RUNNING_IT_HERE:
        event_active(left->event, EV_TIMEOUT, 1);
        EXPECT(event_base_loop(left->base, EVLOOP_NONBLOCK) >= 0);
        EXPECT_EQUAL(left->fired, 1);
        break;
    case BY_FREE:
    case BY_BASE:
    case ENDS:
        break;
    }
    bufferevent_free(left->pair[0]);
    bufferevent_free(left->pair[1]);
    if (end == BY_BASE) {
        event_base_free(left->base);
        free(left->event); /* its base is gone: as event_free() would */
        return;
    }
    event_free(left->event);
    event_base_free(left->base);
}

static void what_a_loops_thread_has_armed_is_freed_by_another(void)
{
    for (enum end end = 0; end < ENDS; end++)
        for (int stays = 0; stays <= 1; stays++) {
            struct left left = {.base = event_base_new(), .thread_stays = stays};
            long before = weft_contexts_alive();
            pthread_t thread;

            assert_int_equal(pthread_barrier_init(&left.loop_has_ended, NULL, 2), 0);
            assert_int_equal(pthread_barrier_init(&left.event_is_freed, NULL, 2), 0);
            assert_int_equal(pthread_create(&thread, NULL, run_and_end, &left), 0);
            if (stays)
                (void)pthread_barrier_wait(&left.loop_has_ended);
            else
                assert_int_equal(pthread_join(thread, NULL), 0);
            EXPECT_EQUAL(look_for("timer").count, 1);
            EXPECT_EQUAL(look_for("bufferevent").count, 1);
            end_by(&left, end);
            EXPECT_EQUAL(look_for("timer").count, 0);
            EXPECT_EQUAL(look_for("bufferevent").count, 0);
            if (stays) {
                (void)pthread_barrier_wait(&left.event_is_freed);
                assert_int_equal(pthread_join(thread, NULL), 0);
            }
            EXPECT_EQUAL(weft_contexts_alive(), before);
            (void)pthread_barrier_destroy(&left.loop_has_ended);
            (void)pthread_barrier_destroy(&left.event_is_freed);
        }
}

/* ---- A child that leaves the loop it was forked in ---- */

static void see_new(evutil_socket_t fd, short what, void *ret_seen)
{
    (void)fd;
    (void)what;
    *(bool *)ret_seen = weft_get("a") && strcmp(weft_get("a"), "new") == 0;
}

/* As a process does that is to be another one: the loops of its parent are none of its own. */
static void go_on_with_another_base(struct event_base *base)
{
    bool is_seen = false;

    event_base_free(base);
    for (int i = 0; i < 3 && (i == 0 || is_seen); i++) {
        is_seen = false;
        base = event_base_new();
        EXPECT_EQUAL(weft_set("a", "new"), 0);
        struct event *event = evtimer_new(base, see_new, &is_seen);
        EXPECT_EQUAL(evtimer_add(event, &at_once), 0);
        (void)event_base_dispatch(base);
        event_free(event);
        event_base_free(base);
    }
    _exit(is_seen && atomic_load(&expect_failures) == 0 ? 7 : 1);
}

static void fork_inside(evutil_socket_t fd, short what, void *arg)
{
    struct left *left = arg;
    int status = 0;

    (void)fd;
    (void)what;
    left->event = evtimer_new(left->base, note_fired, left);
    EXPECT_EQUAL(evtimer_add(left->event, &never), 0);
    pid_t pid = fork();
    if (pid == 0)
        go_on_with_another_base(left->base);
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    event_free(left->event);
}

static int fork_in_loop(void *arg)
{
    struct left *left = arg;

    EXPECT_EQUAL(event_base_once(left->base, -1, EV_TIMEOUT, fork_inside, left, &at_once), 0);
    EXPECT_EQUAL(event_base_dispatch(left->base), 1);
    return 0;
}

static void a_child_that_frees_the_base_whose_loop_it_is_in_goes_on_with_another(void)
{
    struct left left = {.base = event_base_new()};

    EXPECT_EQUAL(weft_run_with("a", "1", fork_in_loop, &left), 0);
    event_base_free(left.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(whoever_looks_while_a_callback_waits_sees_what_it_holds),
        CONFORMANCE_CASE(loops_whose_callbacks_wait_end_in_any_order),
        CONFORMANCE_CASE(what_a_loops_thread_has_armed_is_freed_by_another),
        CONFORMANCE_CASE(a_child_that_frees_the_base_whose_loop_it_is_in_goes_on_with_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
