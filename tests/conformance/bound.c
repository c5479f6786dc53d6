/* Captured contexts and bound calls: C19 to C27, and what of C41, C43, C45 and C49 is about bound calls. */
#include <stdlib.h>

#include "tests/conformance/harness.h"
#include "tests/support/loop_support.h"

/* ---- Capturing and restoring in all orders ---- */

/*
 * A small language for runs and captures, so that the cases can be read side by side:
 *   a1{...}  a run with a=1          b2{...}  a run with b=2
 *   c0       captures into slot 0    i0{...}  runs in what slot 0 holds
 *   x{...}   exits                   ?1-      expects a=1 and no b
 */
struct script {
    const char *at;
    struct weft_context *slots[4];
};

static int run_script(void *arg);

static void run_block(struct script *script, char kind, char digit)
{
    char name[] = {kind, '\0'}, value[] = {digit, '\0'};
    int r;

    script->at++; /* the opening brace */
    if (kind == 'i')
        r = weft_run_in(script->slots[digit - '0'], run_script, script);
    else if (kind == 'x')
        r = weft_exit(run_script, script);
    else
        r = weft_run_with(name, value, run_script, script);
    EXPECT_EQUAL(r, 0);
    script->at++; /* the closing brace, where the run has stopped */
}

static void expect_letter(const char *name, char wanted)
{
    char value[] = {wanted, '\0'};

    EXPECT_TEXT(weft_get(name), wanted == '-' ? NULL : value);
}

/* Runs up to the end or the closing brace of the block. */
static int run_script(void *arg)
{
    struct script *script = arg;

    while (*script->at && *script->at != '}') {
        char kind = *script->at++;
        char digit = kind == 'x' ? '0' : *script->at++;

        if (kind == '?') {
            expect_letter("a", digit);
            expect_letter("b", *script->at++);
        } else if (kind == 'c') {
            (void)weft_context_unref(script->slots[digit - '0']);
            script->slots[digit - '0'] = weft_capture();
        } else {
            run_block(script, kind, digit);
        }
    }
    return 0;
}

static void expect_script(const char *text)
{
    struct script script = {.at = text};
    int failures = atomic_load(&expect_failures);

    (void)run_script(&script);
    EXPECT_EQUAL(*script.at, '\0');
    for (size_t i = 0; i < sizeof(script.slots) / sizeof(*script.slots); i++)
        (void)weft_context_unref(script.slots[i]);
    if (atomic_load(&expect_failures) > failures)
        print_error("in the script %s\n", text);
}

static void c19_a_captured_context_runs_inside_another(void)
{
    expect_script("a1{c0?1-}?--a2{?2-i0{?1-}?2-}?--");
    expect_script("a1{b1{c0}}a2{b2{?22i0{?11}?22}}?--");
}

/* A capture of nothing has to be installed like any other, not skipped. */
static void c20_a_capture_of_nothing_hides_later_values(void)
{
    expect_script("c0a1{?1-i0{?--}?1-}?--");
    expect_script("c0a1{i0{?--b2{?-2i0{?--}?-2}?--}?1-}");
    expect_script("c0a1{b1{c1i0{?--i1{?11}?--}?11}}");
}

static void c21_captures_restore_in_every_order(void)
{
    static const char *const scripts[] = {
        "c0i0{?--}",                                                 /* stores the initial state */
        "a1{c0}i0{?1-}?--",                                          /* stores the current state */
        "a1{c0i0{?1-a2{?2-}?1-}?1-}",                                /* a run within a capture */
        "a1{c0}i0{?1-a2{?2-c1}?1-}i1{?2-}?--",                       /* captured within a capture */
        "a1{c0i0{b2{?12}?1-}}",                                      /* another value within a capture */
        "a1{b2{c0}c1}i0{?12}i1{?1-}",                                /* another value around a capture */
        "a1{c0}b2{i0{?1-b3{?13}?1-}?-2}",                            /* nested in an unrelated run */
        "a1{b2{c0b3{i0{?12a4{?42}?12}?13}}}",                        /* nested twice */
        "a1{c0a2{c1a3{i0{?1-}i1{?2-}?3-}?2-}?1-}",                   /* of nested runs, inside */
        "a1{c0a2{c1a3{c2}}}i2{?3-}i1{?2-}i0{?1-}?--",                /* of nested runs, outside */
        "a1{c0a2{c1}}i0{i1{i0{?1-}?2-}?1-}",                         /* capture in capture */
        "a1{c0}a2{c1}i0{c2i1{i2{?1-}?2-}?1-}",                       /* captured again inside */
        "a1{c0}a2{c1}i1{?2-}i0{?1-}i1{?2-}a3{i0{?1-}i1{?2-}?3-}?--", /* out of order */
        "c0a1{c1b2{c2}}i2{i0{?--i1{?1-}?--}?12}i1{i2{?12}?1-}",      /* root, one, two */
        "a1{c0x{?--c1a2{?2-i0{?1-}i1{?--}?2-}?--}?1-}",              /* with an exit in between */
    };

    for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++)
        expect_script(scripts[i]);
}

static void c22_a_capture_inside_a_run_does_not_disturb_its_end(void)
{
    expect_script("a1{a2{c0}?1-c0}?--i0{?1-}?--");
    expect_script("a1{c0c1c2?1-}?--");
}

/* ---- Bound calls ---- */

static int read_and_count(void *calls)
{
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "changed"), 0);
    return ++*(int *)calls;
}

static int calls;

static int bind_counter(void *bound)
{
    weft_bind(bound, read_and_count, &calls);
    return 0;
}

static struct weft_bound bound_with(const char *value)
{
    struct weft_bound bound;

    calls = 0;
    EXPECT_EQUAL(weft_run_with("a", value, bind_counter, &bound), 0);
    return bound;
}

static void c23_a_bound_call_passes_argument_and_result_and_always_sees_its_context(void)
{
    struct weft_bound bound = bound_with("1");

    EXPECT_EQUAL(weft_call(&bound), 1);
    EXPECT_EQUAL(weft_call(&bound), 2);
    {
        WEFT_SCOPE();
        EXPECT_EQUAL(weft_set("a", "2"), 0);
        EXPECT_EQUAL(weft_call(&bound), 3);
        EXPECT_TEXT(weft_get("a"), "2");
    }
    EXPECT_EQUAL(weft_call_once(&bound), 4);
    harness_expect(NULL, NULL);
}

static int call_bound(void *bound)
{
    EXPECT_TEXT(weft_get("a"), "outer");
    return weft_call(bound);
}

static int bind_bound(void *both)
{
    struct weft_bound *bound = both;

    weft_bind(&bound[1], call_bound, &bound[0]);
    return 0;
}

static void c24_of_a_call_that_is_bound_twice_the_inner_binding_counts(void)
{
    struct weft_bound both[2] = {bound_with("1")};

    EXPECT_EQUAL(weft_run_with("a", "outer", bind_bound, both), 0);
    EXPECT_EQUAL(weft_call_once(&both[1]), 1);
    weft_unbind(&both[0]);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_set("a", "changed"), 0);
    return -EIO;
}

static int bind_failing(void *bound)
{
    weft_bind(bound, fail_at_once, NULL);
    return 0;
}

static void c25_a_bound_call_that_fails_restores_the_callers_context(void)
{
    struct weft_bound bound;

    EXPECT_EQUAL(weft_run_with("a", "1", bind_failing, &bound), 0);
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    EXPECT_EQUAL(weft_call(&bound), -EIO);
    EXPECT_TEXT(weft_get("a"), "2");
    EXPECT_EQUAL(weft_call_once(&bound), -EIO);
    EXPECT_TEXT(weft_get("a"), "2");
}

static void complete(void *future)
{
    EXPECT_TEXT(weft_get("a"), "resolver");
    weft_future_complete(future, 5);
}

static int resolve(void *future)
{
    return weft_call_soon(complete, future);
}

static int await(void *arg)
{
    struct weft_future future = {0};
    int result = 0;

    (void)arg;
    EXPECT_EQUAL(weft_set("a", "awaiter"), 0);
    EXPECT_EQUAL(weft_run_with("a", "resolver", resolve, &future), 0);
    EXPECT_EQUAL(weft_future_wait(&future, &result), 0);
    EXPECT_EQUAL(result, 5);
    EXPECT_TEXT(weft_get("a"), "awaiter");
    return 0;
}

static void c26_what_comes_after_a_wait_is_in_the_waiters_context(void)
{
    loop_support_run(await, NULL);
}

static void c27_a_bound_call_for_once_gives_its_context_back_at_its_end(void)
{
    long before = weft_contexts_alive();
    struct weft_bound bound = bound_with("1");

    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    EXPECT_EQUAL(weft_call_once(&bound), 1);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT(bound.context == NULL);
}

/* ---- Emitters, queues, pools: made of bound calls ---- */

static int expect_emitter(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "emitter");
    return 0;
}

static int emit(void *listener)
{
    EXPECT_EQUAL(expect_emitter(NULL), 0); /* a plain listener: the emitter's context */
    EXPECT_EQUAL(weft_call(listener), 1);
    EXPECT_TEXT(weft_get("a"), "emitter");
    return 0;
}

static void c41_a_plain_listener_runs_in_the_emitters_context_and_a_bound_one_in_its_own(void)
{
    struct weft_bound listener = bound_with("1");

    EXPECT_EQUAL(weft_run_with("a", "emitter", emit, &listener), 0);
    weft_unbind(&listener);
}

/* A connection that is used by one request at a time; the others wait in line. */
struct request {
    struct weft_bound bound;
    const char *wanted;
    struct request *next;
};

static int reply(void *arg)
{
    const struct request *request = arg;

    EXPECT_TEXT(weft_get("a"), request->wanted);
    calls++;
    return 0;
}

static int enqueue(void *request)
{
    weft_bind(&((struct request *)request)->bound, reply, request);
    return 0;
}

/* Each reply is called from the one before it, as a connection does that takes up the next request then. */
static int reply_to_all(void *arg)
{
    struct request *request = arg;

    EXPECT_EQUAL(weft_call_once(&request->bound), 0);
    return request->next ? reply_to_all(request->next) : 0;
}

static void c43_a_request_that_waited_in_line_is_answered_in_its_own_context(void)
{
    struct request third = {.wanted = "3"}, second = {.wanted = "2", .next = &third};
    struct request first = {.wanted = "1", .next = &second};
    struct weft_bound connection;

    calls = 0;
    EXPECT_EQUAL(weft_run_with("a", "1", enqueue, &first), 0);
    EXPECT_EQUAL(weft_run_with("a", "2", enqueue, &second), 0);
    EXPECT_EQUAL(weft_run_with("a", "3", enqueue, &third), 0);
    weft_bind(&connection, reply_to_all, &first);
    EXPECT_EQUAL(weft_call_once(&connection), 0);
    EXPECT_EQUAL(calls, 3);
}

static void c45_a_request_made_outside_of_every_run_is_answered_there(void)
{
    struct request outside = {.wanted = NULL}, first = {.wanted = "1", .next = &outside};

    calls = 0;
    EXPECT_EQUAL(weft_run_with("a", "1", enqueue, &first), 0);
    EXPECT_EQUAL(enqueue(&outside), 0);
    EXPECT_EQUAL(weft_run_with("a", "of the connection", reply_to_all, &first), 0);
    EXPECT_EQUAL(calls, 2);
}

static int flush(void *first)
{
    EXPECT(weft_capture() == NULL);
    return reply_to_all(first);
}

static int flush_in_root(void *first)
{
    return weft_exit(flush, first);
}

static void c49_a_batch_is_flushed_at_the_root_and_completed_in_each_ones_context(void)
{
    struct request second = {.wanted = "2"}, first = {.wanted = "1", .next = &second};

    calls = 0;
    EXPECT_EQUAL(weft_run_with("a", "1", enqueue, &first), 0);
    EXPECT_EQUAL(weft_run_with("a", "2", enqueue, &second), 0);
    EXPECT_EQUAL(weft_run_with("a", "2", flush_in_root, &first), 0);
    EXPECT_EQUAL(calls, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c19_a_captured_context_runs_inside_another),
        CONFORMANCE_CASE(c20_a_capture_of_nothing_hides_later_values),
        CONFORMANCE_CASE(c21_captures_restore_in_every_order),
        CONFORMANCE_CASE(c22_a_capture_inside_a_run_does_not_disturb_its_end),
        CONFORMANCE_CASE(c23_a_bound_call_passes_argument_and_result_and_always_sees_its_context),
        CONFORMANCE_CASE(c24_of_a_call_that_is_bound_twice_the_inner_binding_counts),
        CONFORMANCE_CASE(c25_a_bound_call_that_fails_restores_the_callers_context),
        CONFORMANCE_CASE(c26_what_comes_after_a_wait_is_in_the_waiters_context),
        CONFORMANCE_CASE(c27_a_bound_call_for_once_gives_its_context_back_at_its_end),
        CONFORMANCE_CASE(c41_a_plain_listener_runs_in_the_emitters_context_and_a_bound_one_in_its_own),
        CONFORMANCE_CASE(c43_a_request_that_waited_in_line_is_answered_in_its_own_context),
        CONFORMANCE_CASE(c45_a_request_made_outside_of_every_run_is_answered_there),
        CONFORMANCE_CASE(c49_a_batch_is_flushed_at_the_root_and_completed_in_each_ones_context),
    };

    return cmocka_run_group_tests_name("bound", tests, NULL, NULL);
}
