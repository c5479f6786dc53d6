/*
 * Whose a record is, with libevent's locking on: threads that add, delete, activate, free and make anew what other
 * threads' loops run, one slice or one long run at a time. Every callback is called with its own argument, in its own
 * event's context or at the root, and in the end nothing is left.
 */
#include <pthread.h>
#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>

#include "context/async/operation.h"
#include "tests/conformance/harness.h"

enum { LOOPS = 2, MEDDLERS = 2, EVENTS = 8 };

/* So many steps of each meddler, and looks of the one that only looks. Less than a second, also under a sanitizer. */
enum { STEPS = 3000, LOOKS = 200 };

static const struct timeval soon = {.tv_usec = 50}, never = {.tv_sec = 1000};

struct subject {
    pthread_mutex_t lock; /* libevent leaves it to its users that an event is not freed while it is used */
    struct event_base *base;
    struct event *event;
    char value[8]; /* what `a` is wherever it is armed */
    unsigned generation;
    struct subject *self;
};

static struct {
    struct event_base *bases[LOOPS];
    struct subject subjects[LOOPS * EVENTS];
    atomic_uint loops_are_to_end;
    atomic_ulong calls, calls_in_context;
} world;

/* ---- What the callbacks see ---- */

static void check(struct subject *subject, const char *kind)
{
    const char *value = weft_get("a");

    if (subject->self != subject) {
        expect_fail(__FILE__, __LINE__, "%s has got somebody else's argument", kind);
        return;
    }
    if (value && strcmp(value, subject->value) != 0)
        expect_fail(__FILE__, __LINE__, "%s of %s is in the context of %s", kind, subject->value, value);
    atomic_fetch_add_explicit(&world.calls, 1, memory_order_relaxed);
    if (value)
        atomic_fetch_add_explicit(&world.calls_in_context, 1, memory_order_relaxed);
}

static void on_even(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    check(arg, "an even callback");
}

static void on_odd(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    check(arg, "an odd callback");
    (void)weft_set("b", "of the callback"); /* nobody else sees it, and at the root it is refused */
}

static void on_once(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    check(arg, "a single call");
}

static void keep_alive(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* ---- The loops' threads ---- */

enum loop_way { IN_SLICES, IN_SLICES_WITH_REINIT, IN_ONE };

struct loop {
    struct event_base *base;
    enum loop_way way;
};

static void *run_loop(void *arg)
{
    struct loop *loop = arg;
    struct event *alive = event_new(loop->base, -1, EV_PERSIST, keep_alive, NULL);
    unsigned slices = 0;

    EXPECT_EQUAL(event_add(alive, &(struct timeval){.tv_usec = 500}), 0);
    while (atomic_load(&world.loops_are_to_end) == 0) {
        EXPECT(event_base_loop(loop->base, loop->way == IN_ONE ? EVLOOP_ONCE : EVLOOP_NONBLOCK) >= 0);
        if (loop->way == IN_SLICES_WITH_REINIT && ++slices % 64 == 0)
            EXPECT_EQUAL(event_reinit(loop->base), 0);
    }
    /* What is active by now is called, however little of the others this thread has seen. */
    EXPECT(event_base_loop(loop->base, EVLOOP_NONBLOCK) >= 0);
    event_free(alive);
    return NULL;
}

/* ---- Those who meddle ---- */

struct step {
    struct subject *subject;
    unsigned kind, random;
};

static void make(struct subject *subject, unsigned random)
{
    static const short kinds[] = {0, EV_PERSIST, EV_TIMEOUT};

    subject->event =
        event_new(subject->base, -1, kinds[random % 3], ++subject->generation % 2 ? on_odd : on_even, subject);
    EXPECT(subject->event != NULL);
}

static int look_at(const struct event_base *base, const struct event *event, void *arg)
{
    struct event_base *own;
    event_callback_fn callback;
    void *own_arg;

    (void)arg;
    event_get_assignment(event, &own, NULL, NULL, &callback, &own_arg);
    EXPECT(own == base);
    EXPECT(callback != on_even || ((const struct subject *)own_arg)->self == own_arg);
    EXPECT(callback != on_odd || ((const struct subject *)own_arg)->self == own_arg);
    return 0;
}

static int take_step(void *arg)
{
    const struct step *step = arg;
    struct subject *subject = step->subject;
    struct event *event = subject->event;

    switch (step->kind) {
    case 0:
    case 1:
        EXPECT_EQUAL(event_add(event, &soon), 0);
        break;
    case 2:
        EXPECT_EQUAL(event_add(event, &never), 0);
        break;
    case 3:
        EXPECT_EQUAL(event_del(event), 0);
        break;
    case 4:
        event_active(event, EV_TIMEOUT, 1);
        break;
    case 5:
        event_free(event);
        make(subject, step->random);
        break;
    case 6: /* the same memory as another event */
        EXPECT_EQUAL(event_del(event), 0);
        EXPECT_EQUAL(event_assign(event, subject->base, -1, step->random % 2 ? EV_PERSIST : 0,
                                  ++subject->generation % 2 ? on_odd : on_even, subject),
                     0);
        break;
    case 7:
        EXPECT_EQUAL(event_base_once(subject->base, -1, EV_TIMEOUT, on_once, subject, &soon), 0);
        break;
    case 8:
        EXPECT_EQUAL(event_del_block(event), 0);
        break;
    case 9:
        (void)event_remove_timer(event);
        break;
    case 10:
        EXPECT_EQUAL(event_base_foreach_event(subject->base, look_at, NULL), 0);
        break;
    default:
        EXPECT(event_get_callback_arg(event) == subject);
        EXPECT(event_get_callback(event) == on_even || event_get_callback(event) == on_odd);
        break;
    }
    return 0;
}

static void *meddle(void *arg)
{
    unsigned seed = *(const unsigned *)arg;

    for (int i = 0; i < STEPS; i++) {
        struct step step = {.subject = &world.subjects[(unsigned)rand_r(&seed) % (LOOPS * EVENTS)],
                            .kind = (unsigned)rand_r(&seed) % 12,
                            .random = (unsigned)rand_r(&seed)};

        (void)pthread_mutex_lock(&step.subject->lock);
        if (step.random % 4 == 0)
            (void)take_step(&step);
        else
            EXPECT_EQUAL(weft_run_with("a", step.subject->value, take_step, &step), 0);
        (void)pthread_mutex_unlock(&step.subject->lock);
    }
    return NULL;
}

static int describe(const struct operation *operation, void *arg)
{
    char words[OPERATION_DESCRIPTION_SIZE], stack[512];
    struct frame_key key = frame_key("a");
    struct frame_found found;

    operation_describe(operation, words);
    (void)operation_since_us(operation);
    (void)operation_stack(operation, stack, sizeof(stack));
    (void)frame_find(operation->info.context, &key, &found);
    ++*(unsigned *)arg;
    return 0;
}

/* ---- All of them together ---- */

static void meddle_with_loops(const enum loop_way ways[LOOPS], unsigned seed)
{
    static bool has_locking;
    pthread_t loops[LOOPS], meddlers[MEDDLERS];
    struct loop loop_args[LOOPS];
    unsigned seeds[MEDDLERS];
    unsigned seen = 0, left = 0;
    int before = 0;

    if (!has_locking)
        assert_int_equal(evthread_use_pthreads(), 0);
    has_locking = true;
    (void)operation_each(describe, &before);
    memset(&world, 0, sizeof(world));
    for (int i = 0; i < LOOPS; i++) {
        world.bases[i] = event_base_new();
        assert_non_null(world.bases[i]);
        loop_args[i] = (struct loop){.base = world.bases[i], .way = ways[i]};
    }
    for (int i = 0; i < LOOPS * EVENTS; i++) {
        struct subject *subject = &world.subjects[i];

        *subject = (struct subject){.lock = PTHREAD_MUTEX_INITIALIZER, .base = world.bases[i % LOOPS], .self = subject};
        (void)snprintf(subject->value, sizeof(subject->value), "e%d", i);
        make(subject, (unsigned)i);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&loops[i], NULL, run_loop, &loop_args[i]), 0);
    for (unsigned i = 0; i < MEDDLERS; i++) {
        seeds[i] = seed * 31 + i;
        assert_int_equal(pthread_create(&meddlers[i], NULL, meddle, &seeds[i]), 0);
    }
    for (int i = 0; i < LOOKS; i++)
        (void)operation_each(describe, &seen);
    for (int i = 0; i < MEDDLERS; i++)
        assert_int_equal(pthread_join(meddlers[i], NULL), 0);
    for (int i = 0; i < LOOPS * EVENTS; i++)
        event_active(world.subjects[i].event, EV_TIMEOUT, 1);
    atomic_store(&world.loops_are_to_end, 1);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_join(loops[i], NULL), 0);
    for (int i = 0; i < LOOPS * EVENTS; i++)
        if (i % 2 == 0)
            event_free(world.subjects[i].event);
    for (int i = 0; i < LOOPS; i++)
        event_base_free(world.bases[i]);
    for (int i = 0; i < LOOPS * EVENTS; i++)
        if (i % 2 != 0) {
            EXPECT(event_get_callback_arg(world.subjects[i].event) == &world.subjects[i]);
            free(world.subjects[i].event); /* its base is gone: as event_free() would */
        }
    (void)operation_each(describe, &left);
    EXPECT_EQUAL(left, before);
    EXPECT(atomic_load(&world.calls) > 0);
}

static void nothing_mixes_whoever_meddles_with_loops_in_slices(void)
{
    for (unsigned seed = 1; seed <= 2; seed++)
        meddle_with_loops((const enum loop_way[]){IN_SLICES, IN_SLICES}, seed);
}

static void nor_with_loops_that_wait(void)
{
    for (unsigned seed = 3; seed <= 4; seed++)
        meddle_with_loops((const enum loop_way[]){IN_ONE, IN_SLICES}, seed);
}

static void nor_with_loops_that_are_initialised_anew(void)
{
    meddle_with_loops((const enum loop_way[]){IN_SLICES_WITH_REINIT, IN_ONE}, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(nothing_mixes_whoever_meddles_with_loops_in_slices),
        CONFORMANCE_CASE(nor_with_loops_that_wait),
        CONFORMANCE_CASE(nor_with_loops_that_are_initialised_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
