/* Threads: C52 to C55. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/loop_support.h"

/* ---- The thread pool ---- */

static int work(void *arg)
{
    (void)arg;
    harness_expect("1", NULL);
    EXPECT_EQUAL(weft_set("a", "of the work"), 0);
    EXPECT_EQUAL(weft_set("b", "of the work"), 0);
    return 6;
}

static int work_at_root(void *arg)
{
    (void)arg;
    EXPECT(weft_capture() == NULL);
    return 0;
}

static int offload_at_root(void *arg)
{
    return weft_offload(work_at_root, arg, NULL);
}

static int submit(void *arg)
{
    int result = 0;

    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_offload(work, arg, &result), 0);
    EXPECT_EQUAL(result, 6);
    harness_expect("1", NULL);
    EXPECT_EQUAL(weft_exit(offload_at_root, arg), 0); /* the same thread: nothing stuck to it */
    harness_expect("1", NULL);
    return 0;
}

static void c52_offloaded_work_and_its_completion_see_the_submitters_context(void)
{
    loop_support_run(submit, NULL);
}

/* ---- Threads of one's own ---- */

struct visitor {
    struct weft_context *context;
    const char *wanted;
    const char *starters; /* the value of `harness` */
    pthread_barrier_t *barrier;
};

static int visit(void *arg)
{
    const struct visitor *visitor = arg;

    EXPECT_TEXT(weft_get("a"), visitor->wanted);
    (void)pthread_barrier_wait(visitor->barrier); /* all are inside now */
    EXPECT_TEXT(weft_get("a"), visitor->wanted);
    EXPECT_EQUAL(weft_set("a", "of the visitor"), 0);
    (void)pthread_barrier_wait(visitor->barrier);
    EXPECT_TEXT(weft_get("a"), "of the visitor");
    return 0;
}

static void *visit_on_thread(void *arg)
{
    const struct visitor *visitor = arg;

    /* A new thread begins in the context of the code that starts it. */
    EXPECT_TEXT(weft_get("harness"), visitor->starters);
    EXPECT_EQUAL(weft_run_in(visitor->context, visit, arg), 0);
    EXPECT_TEXT(weft_get("harness"), visitor->starters);
    EXPECT_TEXT(weft_get("a"), NULL);
    return NULL;
}

static struct weft_context *context_with(const char *value)
{
    struct weft_context *context = NULL;

    EXPECT_EQUAL(weft_run_with("a", value, harness_capture, &context), 0);
    return context;
}

static void c53_each_thread_has_a_current_context_of_its_own(void)
{
    static const char *const values[] = {"1", "2", "1"};
    struct visitor visitors[3];
    pthread_t threads[3];
    pthread_barrier_t barrier;

    assert_int_equal(pthread_barrier_init(&barrier, NULL, 3), 0);
    for (size_t i = 0; i < 3; i++)
        visitors[i] = (struct visitor){context_with(values[i]), values[i], weft_get("harness"), &barrier};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visit_on_thread, &visitors[i]), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)weft_context_unref(visitors[i].context);
    }
    (void)pthread_barrier_destroy(&barrier);
}

/* ---- Sharing ---- */

enum { THREADS = 4, ROUNDS = 5000 };

static atomic_int releases;

static void count_release(void *pointer)
{
    (void)pointer;
    EXPECT_TEXT(weft_get("a"), NULL);
    atomic_fetch_add(&releases, 1);
}

static int derive(void *arg)
{
    struct weft_context *captured = weft_capture();

    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    EXPECT_EQUAL(weft_set("b", "3"), 0);
    EXPECT(weft_get_pointer("p") == &releases);
    harness_expect("2", "3");
    EXPECT_EQUAL(weft_unset("b"), 0);
    (void)weft_context_unref(captured);
    harness_expect("2", NULL);
    (void)arg;
    return 0;
}

static void *derive_often(void *context)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct weft_context *held = weft_context_ref(context);

        EXPECT_EQUAL(weft_run_in(held, derive, NULL), 0);
        (void)weft_context_unref(held);
    }
    return weft_context_unref(context);
}

static int capture_pointer(void *ret_context)
{
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set_pointer("p", &releases, count_release), 0);
    return harness_capture(ret_context);
}

static void c54_threads_derive_from_one_context_and_the_last_releases_its_pointer(void)
{
    struct weft_context *context = NULL;
    pthread_t threads[THREADS];

    atomic_store(&releases, 0);
    EXPECT_EQUAL(weft_exit(capture_pointer, &context), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, derive_often, weft_context_ref(context)), 0);
    context = weft_context_unref(context);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    EXPECT_EQUAL(releases, 1);
}

/* ---- The record owns the context, not the worker ---- */

static int fail_or_not(void *wanted)
{
    EXPECT_TEXT(weft_get("a"), wanted);
    EXPECT_EQUAL(weft_set("a", "of the worker"), 0);
    return *(char *)wanted == '2' ? -EIO : 0;
}

static int submit_as(void *value)
{
    EXPECT_EQUAL(weft_set("a", value), 0);
    for (int i = 0; i < 20; i++) {
        int result = 1;

        EXPECT_EQUAL(weft_offload(fail_or_not, value, &result), 0);
        EXPECT_EQUAL(result, *(char *)value == '2' ? -EIO : 0);
        EXPECT_TEXT(weft_get("a"), value);
    }
    return 0;
}

static int submit_from_many(void *arg)
{
    static char values[][2] = {"1", "2", "3", "4", "5", "6", "7", "8"};

    (void)arg;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        EXPECT(weft_spawn("submit", submit_as, values[i]) != NULL);
    return 0;
}

static void c55_the_call_owns_the_context_and_not_the_thread_that_runs_it(void)
{
    loop_support_run(submit_from_many, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c52_offloaded_work_and_its_completion_see_the_submitters_context),
        CONFORMANCE_CASE(c53_each_thread_has_a_current_context_of_its_own),
        CONFORMANCE_CASE(c54_threads_derive_from_one_context_and_the_last_releases_its_pointer),
        CONFORMANCE_CASE(c55_the_call_owns_the_context_and_not_the_thread_that_runs_it),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
