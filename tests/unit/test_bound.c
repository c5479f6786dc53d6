/* Captured contexts and bound calls: who holds what, and for how long. */
#include <stdlib.h>

#include "tests/support/loop_support.h"

static char one[] = "1";
static char two[] = "2";
static char changed[] = "changed";

/* ---- Captures ---- */

static int read_a(void *wanted)
{
    EXPECT_TEXT(weft_get("a"), wanted);
    return 7;
}

static int capture(void *ret_context)
{
    *(struct weft_context **)ret_context = weft_capture();
    return 0;
}

static struct weft_context *context_with(const char *value)
{
    struct weft_context *context = NULL;

    EXPECT_EQUAL(weft_run_with("a", value, capture, &context), 0);
    return context;
}

static void a_capture_at_the_root_is_null_and_costs_nothing(void **state)
{
    (void)state;
    EXPECT(weft_capture() == NULL);
    EXPECT(weft_context_ref(NULL) == NULL);
    EXPECT(weft_context_unref(NULL) == NULL);
    EXPECT_EQUAL(weft_contexts_alive(), 0);
}

static void a_captured_context_outlives_its_run(void **state)
{
    struct weft_context *context = context_with("1");

    (void)state;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_contexts_alive(), 1);
    EXPECT_EQUAL(weft_run_in(context, read_a, one), 7);
    EXPECT_EQUAL(weft_run_in(weft_context_ref(context), read_a, one), 7);
    EXPECT(weft_context_unref(context) == NULL);
    EXPECT_EQUAL(weft_contexts_alive(), 1);
    (void)weft_context_unref(context);
}

static int change_inside(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "changed"), 0);
    return read_a(arg);
}

static void a_captured_context_never_changes(void **state)
{
    struct weft_context *context = context_with("1");

    (void)state;
    EXPECT_EQUAL(weft_run_in(context, change_inside, changed), 7);
    EXPECT_EQUAL(weft_run_in(context, read_a, one), 7);
    (void)weft_context_unref(context);
}

/* ---- Bound calls ---- */

static int bind_read(void *bound)
{
    weft_bind(bound, read_a, one);
    return 0;
}

static void a_bound_call_may_be_repeated_and_is_given_back_twice_without_harm(void **state)
{
    struct weft_bound bound;

    (void)state;
    EXPECT_EQUAL(weft_run_with("a", "1", bind_read, &bound), 0);
    EXPECT_EQUAL(weft_call(&bound), 7);
    EXPECT_EQUAL(weft_call(&bound), 7);
    EXPECT_EQUAL(weft_contexts_alive(), 1);
    weft_unbind(&bound);
    EXPECT_EQUAL(weft_contexts_alive(), 0);
    weft_unbind(&bound);
}

static void the_last_call_gives_the_context_back(void **state)
{
    struct weft_bound bound;

    (void)state;
    EXPECT_EQUAL(weft_run_with("a", "1", bind_read, &bound), 0);
    EXPECT_EQUAL(weft_call_once(&bound), 7);
    EXPECT_EQUAL(weft_contexts_alive(), 0);
    EXPECT(bound.context == NULL);
    weft_unbind(&bound);
}

/* A record as a client library has it: its context holds it, it holds a bound call. */
struct request {
    struct weft_bound bound;
    int *freed;
};

static void request_free(void *pointer)
{
    struct request *request = pointer;

    ++*request->freed;
    weft_unbind(&request->bound);
    free(request);
}

static int request_done(void *pointer)
{
    EXPECT(weft_get_pointer("request") == pointer);
    return 9;
}

static int request_begin(void *arg)
{
    struct request **ret_request = arg;

    EXPECT_EQUAL(weft_set_pointer("request", *ret_request, request_free), 0);
    weft_bind(&(*ret_request)->bound, request_done, *ret_request);
    return 0;
}

static struct request *request_new(int *freed)
{
    int before = *freed;
    struct request *request = calloc(1, sizeof(*request));

    assert_non_null(request);
    request->freed = freed;
    EXPECT_EQUAL(weft_run(request_begin, &request), 0);
    EXPECT_EQUAL(*freed, before);
    return request;
}

static void a_record_may_go_with_the_context_that_it_gives_back(void **state)
{
    int freed = 0;

    (void)state;
    struct request *request = request_new(&freed);
    weft_unbind(&request->bound);
    EXPECT_EQUAL(freed, 1);

    request = request_new(&freed);
    EXPECT_EQUAL(weft_call_once(&request->bound), 9);
    EXPECT_EQUAL(freed, 2);
}

static int rebind(void *arg)
{
    struct weft_bound *bound = arg;

    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    weft_bind(bound, read_a, two);
    return 11;
}

static int bind_rebind(void *bound)
{
    weft_bind(bound, rebind, bound);
    return 0;
}

static void a_record_may_be_bound_anew_by_its_own_last_call(void **state)
{
    struct weft_bound bound;

    (void)state;
    EXPECT_EQUAL(weft_run_with("a", "1", bind_rebind, &bound), 0);
    EXPECT_EQUAL(weft_call_once(&bound), 11);
    EXPECT_EQUAL(weft_call_once(&bound), 7);
    EXPECT_EQUAL(weft_contexts_alive(), 0);
}

static int unbind_oneself(void *bound)
{
    weft_unbind(bound);
    EXPECT_TEXT(weft_get("a"), "1"); /* still, until it returns */
    return 13;
}

static int bind_unbind(void *bound)
{
    weft_bind(bound, unbind_oneself, bound);
    return 0;
}

static void a_bound_call_may_give_itself_back_while_it_runs(void **state)
{
    struct weft_bound bound;

    (void)state;
    EXPECT_EQUAL(weft_run_with("a", "1", bind_unbind, &bound), 0);
    EXPECT_EQUAL(weft_call(&bound), 13);
    EXPECT_EQUAL(weft_contexts_alive(), 0);
}

static void bound_at_the_root_runs_at_the_root(void **state)
{
    struct weft_bound bound;

    (void)state;
    weft_bind(&bound, read_a, NULL);
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "1"), 0);
        EXPECT_EQUAL(weft_call(&bound), 7);
        EXPECT_EQUAL(weft_call_once(&bound), 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_capture_at_the_root_is_null_and_costs_nothing),
        EXPECT_TEST(a_captured_context_outlives_its_run),
        EXPECT_TEST(a_captured_context_never_changes),
        EXPECT_TEST(a_bound_call_may_be_repeated_and_is_given_back_twice_without_harm),
        EXPECT_TEST(the_last_call_gives_the_context_back),
        EXPECT_TEST(a_record_may_go_with_the_context_that_it_gives_back),
        EXPECT_TEST(a_record_may_be_bound_anew_by_its_own_last_call),
        EXPECT_TEST(a_bound_call_may_give_itself_back_while_it_runs),
        EXPECT_TEST(bound_at_the_root_runs_at_the_root),
    };

    return cmocka_run_group_tests_name("bound", tests, NULL, NULL);
}
