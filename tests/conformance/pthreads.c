/* Threads that a program starts itself: C52 to C55. */
#include <pthread.h>
#include <threads.h>

#include <event2/event.h>

#include "context/async/operation.h"
#include "tests/conformance/harness.h"
#include "tests/support/checker.h"

static void expect_root(void)
{
    struct weft_context *context = weft_capture();

    EXPECT(context == NULL);
    (void)weft_context_unref(context);
}

/* ---- C52: the context of the call ---- */

static void *see_one(void *arg)
{
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "of the thread"), 0); /* nobody else sees it */
    EXPECT(weft_operation_current() != 0);
    return arg;
}

static int start_one(void *ret_thread)
{
    assert_int_equal(pthread_create(ret_thread, NULL, see_one, &expect_failures), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    return 0;
}

static void c52_a_thread_runs_in_the_context_of_the_code_that_starts_it(void)
{
    pthread_t thread;
    void *result;
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", start_one, &thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    EXPECT(result == &expect_failures);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static int see_one_in_c11(void *arg)
{
    EXPECT_TEXT(weft_get("a"), "1");
    return *(int *)arg;
}

static int start_in_c11(void *ret_thread)
{
    static int result = 7;

    assert_int_equal(thrd_create(ret_thread, see_one_in_c11, &result), thrd_success);
    return 0;
}

static void c52_so_does_one_of_the_standard_library(void)
{
    thrd_t thread;
    int result;
    long before = weft_contexts_alive();

    if (CHECKER_SANITIZER) /* the thread sanitizer falls over such threads */
        return;
    EXPECT_EQUAL(weft_run_with("a", "1", start_in_c11, &thread), 0);
    EXPECT_EQUAL(thrd_join(thread, &result), thrd_success);
    EXPECT_EQUAL(result, 7);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static void *see_root(void *arg)
{
    expect_root();
    return arg;
}

static int start_at_root(void *ret_thread)
{
    return pthread_create(ret_thread, NULL, see_root, NULL);
}

static int start_from_inside(void *ret_thread)
{
    return weft_exit(start_at_root, ret_thread);
}

static void c52_a_thread_for_everybody_is_started_at_the_root(void)
{
    pthread_t thread;

    EXPECT_EQUAL(weft_run_with("a", "1", start_from_inside, &thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *start_another(void *arg)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, see_one, NULL), 0);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return arg;
}

static int start_two(void *ret_thread)
{
    return pthread_create(ret_thread, NULL, start_another, NULL);
}

static void c52_a_threads_thread_has_its_context(void)
{
    pthread_t thread;

    EXPECT_EQUAL(weft_run_with("a", "1", start_two, &thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
}

static void *run_a_loop(void *arg)
{
    struct event_base *base = event_base_new();

    EXPECT_EQUAL(event_base_once(base, -1, EV_TIMEOUT, fired, NULL, &(struct timeval){.tv_usec = 1000}), 0);
    EXPECT(event_base_dispatch(base) >= 0);
    event_base_free(base);
    return arg;
}

static int start_a_loop(void *ret_thread)
{
    return pthread_create(ret_thread, NULL, run_a_loop, NULL);
}

static void c52_a_threads_own_loop_keeps_its_context(void)
{
    pthread_t thread;
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", start_a_loop, &thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* ---- C53: at the same time ---- */

enum { THREADS = 8 };

struct visitor {
    const char *a;
    pthread_barrier_t *barrier;
    pthread_t thread;
};

static void *visit(void *arg)
{
    const struct visitor *visitor = arg;

    EXPECT_TEXT(weft_get("a"), visitor->a);
    (void)pthread_barrier_wait(visitor->barrier); /* all are inside now */
    EXPECT_TEXT(weft_get("a"), visitor->a);
    EXPECT_EQUAL(weft_set("a", "of the visitor"), 0);
    (void)pthread_barrier_wait(visitor->barrier);
    EXPECT_TEXT(weft_get("a"), "of the visitor");
    return NULL;
}

static int start_visitor(void *arg)
{
    struct visitor *visitor = arg;

    return pthread_create(&visitor->thread, NULL, visit, visitor);
}

static void c53_threads_of_many_contexts_have_each_their_own_at_once(void)
{
    static const char *const values[THREADS] = {"1", "2", "3", "4", "1", "2", "3", "4"};
    struct visitor visitors[THREADS];
    pthread_barrier_t barrier;

    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){values[i], &barrier, 0};
        EXPECT_EQUAL(weft_run_with("a", values[i], start_visitor, &visitors[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
    (void)pthread_barrier_destroy(&barrier);
}

/* ---- C54: the last to let go ---- */

static atomic_int releases;

static void count_release(void *pointer)
{
    (void)pointer;
    expect_root();
    atomic_fetch_add(&releases, 1);
}

static void *derive_often(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        EXPECT(weft_get_pointer("p") == &releases);
        EXPECT_EQUAL(weft_set("a", i % 2 ? "odd" : "even"), 0);
    }
    return arg;
}

static int start_many(void *arg)
{
    pthread_t *threads = arg;

    EXPECT_EQUAL(weft_set_pointer("p", &releases, count_release), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, derive_often, NULL), 0);
    return 0;
}

static void c54_the_last_thread_of_a_context_releases_its_values(void)
{
    pthread_t threads[THREADS];

    atomic_store(&releases, 0);
    EXPECT_EQUAL(weft_run(start_many, threads), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    EXPECT_EQUAL(releases, 1);
}

/* ---- C55: every way to end ---- */

static void *leave(void *arg)
{
    EXPECT_TEXT(weft_get("a"), "1");
    pthread_exit(arg);
}

/* Not in a call that sleeps: the thread sanitizer loses its way when a thread does not come back from one. */
static void *wait_for_cancellation(void *arg)
{
    EXPECT_TEXT(weft_get("a"), "1");
    for (;;) {
        pthread_testcancel();
        (void)sched_yield();
    }
    return arg;
}

struct start {
    void *(*fn)(void *arg);
    pthread_t thread;
};

static int start(void *arg)
{
    struct start *wanted = arg;

    return pthread_create(&wanted->thread, NULL, wanted->fn, &expect_failures);
}

static void c55_a_thread_that_leaves_gives_its_context_back(void)
{
    struct start leaver = {.fn = leave};
    void *result;
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", start, &leaver), 0);
    assert_int_equal(pthread_join(leaver.thread, &result), 0);
    EXPECT(result == &expect_failures);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static void c55_a_thread_that_is_cancelled_gives_its_context_back(void)
{
    struct start sleeper = {.fn = wait_for_cancellation};
    void *result;
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", start, &sleeper), 0);
    assert_int_equal(pthread_cancel(sleeper.thread), 0);
    assert_int_equal(pthread_join(sleeper.thread, &result), 0);
    EXPECT(result == PTHREAD_CANCELED);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* A stack that no machine has the room for. */
static int start_in_vain(void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;

    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, SIZE_MAX / 4 & ~(size_t)65535), 0);
    EXPECT(pthread_create(&thread, &attributes, see_one, NULL) != 0);
    (void)pthread_attr_destroy(&attributes);
    (void)arg;
    return 0;
}

static void c55_a_thread_that_cannot_be_started_holds_no_context(void)
{
    long before = weft_contexts_alive();

    if (CHECKER_SANITIZER) /* they take it for a mistake of their user */
        return;
    EXPECT_EQUAL(weft_run_with("a", "1", start_in_vain, NULL), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* ---- What can be seen of it ---- */

static int find_thread(const struct operation *operation, void *arg)
{
    char description[OPERATION_DESCRIPTION_SIZE];

    (void)arg;
    operation_describe(operation, description);
    return strcmp(description, "thread") == 0;
}

static void *wait_at_barrier(void *barrier)
{
    (void)pthread_barrier_wait(barrier);
    return NULL;
}

static pthread_t barrier_thread;

static int start_at_barrier(void *barrier)
{
    return pthread_create(&barrier_thread, NULL, wait_at_barrier, barrier);
}

static void c52_a_thread_can_be_seen_until_it_ends(void)
{
    pthread_barrier_t barrier;

    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", start_at_barrier, &barrier), 0);
    EXPECT_EQUAL(operation_each(find_thread, NULL), 1);
    (void)pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(barrier_thread, NULL), 0);
    EXPECT_EQUAL(operation_each(find_thread, NULL), 0);
    (void)pthread_barrier_destroy(&barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c52_a_thread_runs_in_the_context_of_the_code_that_starts_it),
        CONFORMANCE_CASE(c52_so_does_one_of_the_standard_library),
        CONFORMANCE_CASE(c52_a_thread_for_everybody_is_started_at_the_root),
        CONFORMANCE_CASE(c52_a_threads_thread_has_its_context),
        CONFORMANCE_CASE(c52_a_threads_own_loop_keeps_its_context),
        CONFORMANCE_CASE(c52_a_thread_can_be_seen_until_it_ends),
        CONFORMANCE_CASE(c53_threads_of_many_contexts_have_each_their_own_at_once),
        CONFORMANCE_CASE(c54_the_last_thread_of_a_context_releases_its_values),
        CONFORMANCE_CASE(c55_a_thread_that_leaves_gives_its_context_back),
        CONFORMANCE_CASE(c55_a_thread_that_is_cancelled_gives_its_context_back),
        CONFORMANCE_CASE(c55_a_thread_that_cannot_be_started_holds_no_context),
    };

    return cmocka_run_group_tests_name("pthreads", tests, NULL, NULL);
}
