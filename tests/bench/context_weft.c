/*
 * What the operations of a context cost, in nanoseconds: reading, capturing, running, scopes, log lines. See
 * tests/bench/context, which shows them beside Node's.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/context.h>
#include <weft/log.h>

#include "context/current.h"
#include "tests/bench/context_weft.h"

/* ---- Contexts ---- */

struct in_context {
    void (*measure)(struct timing *timing);
    struct timing *timing;
    size_t values;
    size_t depth;
};

static int call_in_context(void *arg)
{
    const struct in_context *in = arg;
    char name[32];

    for (size_t i = 1; i < in->values; i++) {
        (void)snprintf(name, sizeof(name), "value-%zu", i);
        (void)weft_set(name, "some text");
    }
    in->measure(in->timing);
    return 0;
}

static int nest(void *arg)
{
    struct in_context *in = arg;

    return --in->depth > 0 ? weft_run_with("deep", "some text", nest, in) : call_in_context(in);
}

void bench_in_context(size_t values, size_t depth, void (*measure)(struct timing *timing), struct timing *timing)
{
    struct in_context in = {measure, timing, values, depth};

    if (values == 0)
        (void)weft_exit(call_in_context, &in);
    else
        (void)weft_run_with("user", "some text", nest, &in);
}

/* ---- What is measured ---- */

static int call_nothing(void *arg)
{
    return arg != NULL;
}

/* Through a pointer that the compiler cannot see through, as all callbacks are called. */
static int (*volatile callback)(void *arg) = call_nothing;

static void bare_call(struct timing *timing)
{
    TIMED(timing, (void)callback(NULL));
}

static void get_here(struct timing *timing)
{
    TIMED(timing, (void)weft_get("user"));
}

static void get(struct timing *timing)
{
    bench_in_context(timing->values, 1, get_here, timing);
}

/* Of a name that is not a literal. */
static void get_by_variable_here(struct timing *timing)
{
    static const char *volatile name = "user";

    TIMED(timing, (void)weft_get(name));
}

static void get_by_variable(struct timing *timing)
{
    bench_in_context(timing->values, 1, get_by_variable_here, timing);
}

static void get_deep(struct timing *timing)
{
    bench_in_context(1, timing->values, get_here, timing);
}

static void get_missing_here(struct timing *timing)
{
    TIMED(timing, (void)weft_get("absent"));
}

static void get_missing(struct timing *timing)
{
    bench_in_context(timing->values, 1, get_missing_here, timing);
}

static void get_seeded(struct timing *timing)
{
    struct frame_entry entries[32] = {{"user", "some text", 9}};
    char names[32][32];
    struct weft_context *context = NULL;
    struct current saved;

    for (size_t i = 1; i < timing->values; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "value-%zu", i);
        entries[i] = (struct frame_entry){names[i], "some text", 9};
    }
    if (frame_new(entries, timing->values, NULL, NULL, &context) < 0)
        return;
    current_enter(&saved, context);
    get_here(timing);
    current_leave(&saved);
}

static void capture_here(struct timing *timing)
{
    TIMED(timing, (void)weft_context_unref(weft_capture()));
}

static void capture(struct timing *timing)
{
    bench_in_context(timing->values, 1, capture_here, timing);
}

static void run_with_here(struct timing *timing)
{
    TIMED(timing, (void)weft_run_with("user", "another", call_nothing, NULL));
}

static void run_with(struct timing *timing)
{
    bench_in_context(timing->values, 1, run_with_here, timing);
}

static void run_in_here(struct timing *timing)
{
    struct weft_context *context = weft_capture();

    TIMED(timing, (void)weft_run_in(context, call_nothing, NULL));
    (void)weft_context_unref(context);
}

static void run_in(struct timing *timing)
{
    bench_in_context(timing->values, 1, run_in_here, timing);
}

/* What every dispatcher does around a callback that holds a context already. */
static void switch_here(struct timing *timing)
{
    struct weft_context *context = weft_capture();
    struct current saved;

    TIMED(timing, current_enter(&saved, context); (void)callback(NULL); context = current_leave_with(&saved));
    (void)weft_context_unref(context);
}

static void switch_context(struct timing *timing)
{
    bench_in_context(timing->values, 1, switch_here, timing);
}

static void bind_here(struct timing *timing)
{
    struct weft_bound bound;

    TIMED(timing, weft_bind(&bound, call_nothing, NULL); (void)weft_call_once(&bound));
}

static void bind_and_call(struct timing *timing)
{
    bench_in_context(timing->values, 1, bind_here, timing);
}

static void scope_here(struct timing *timing)
{
    struct weft_scope scope;

    TIMED(timing, weft_scope_begin(&scope); (void)weft_scope_end(&scope));
}

static void scope(struct timing *timing)
{
    bench_in_context(timing->values, 1, scope_here, timing);
}

static void log_here(struct timing *timing)
{
    TIMED(timing, weft_info("order %d stored", 12345));
}

static void log_line(struct timing *timing)
{
    bench_in_context(timing->values, 1, log_here, timing);
}

static void log_fields_here(struct timing *timing)
{
    TIMED(timing, weft_log_with(WEFT_INFO, "order stored", WEFT_INT("order", 12345), WEFT_TEXT("customer", "acme"),
                                WEFT_REAL("total", 99.5)));
}

static void log_line_with_fields(struct timing *timing)
{
    bench_in_context(timing->values, 1, log_fields_here, timing);
}

/* ---- The program ---- */

enum { OFTEN = 200000, SOMETIMES = 20000, SELDOM = 2000 };

static struct timing with_one_thread[] = {
    {"bare call", bare_call, OFTEN, 0, 0},
    {"get 1", get, OFTEN, 1, 0},
    {"get 10", get, OFTEN, 10, 0},
    {"get 32", get, OFTEN, 32, 0},
    {"get depth 10", get_deep, OFTEN, 10, 0},
    {"get depth 1000", get_deep, OFTEN, 1000, 0},
    {"get seeded 1", get_seeded, OFTEN, 1, 0},
    {"get seeded 32", get_seeded, OFTEN, 32, 0},
    {"get by variable 1", get_by_variable, OFTEN, 1, 0},
    {"get by variable 32", get_by_variable, OFTEN, 32, 0},
    {"get missing", get_missing, OFTEN, 10, 0},
    {"get at root", get, OFTEN, 0, 0},
    {"capture 0", capture, OFTEN, 0, 0},
    {"capture 1", capture, OFTEN, 1, 0},
    {"capture 10", capture, OFTEN, 10, 0},
    {"capture 32", capture, OFTEN, 32, 0},
    {"switch", switch_context, OFTEN, 10, 0},
    {"run in", run_in, OFTEN, 10, 0},
    {"bind and call", bind_and_call, OFTEN, 10, 0},
    {"run with 1", run_with, SOMETIMES, 1, 0},
    {"run with 8", run_with, SOMETIMES, 8, 0},
    {"run with 32", run_with, SOMETIMES, 32, 0},
    {"scope", scope, SOMETIMES, 10, 0},
    {"log 0", log_line, SELDOM, 1, 0},
    {"log 3", log_line_with_fields, SELDOM, 1, 0},
};

static struct timing with_threads[] = {
    {"capture 10, threads", capture, OFTEN, 10, 0},
    {"run in, threads", run_in, OFTEN, 10, 0},
    {"run with 8, threads", run_with, SOMETIMES, 8, 0},
};

static void *do_nothing(void *arg)
{
    return arg;
}

/* From now on the process has had a second thread, and reference counts are counted for threads. */
static int begin_threads(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, do_nothing, NULL) == 0 ? pthread_join(thread, NULL) : -1;
}

int main(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
        return EXIT_FAILURE;
    weft_log_label("user");
    timing_run(with_one_thread, sizeof(with_one_thread) / sizeof(*with_one_thread));
    bench_turns();
    bench_tasks();
    if (begin_threads() != 0)
        return EXIT_FAILURE;
    timing_run(with_threads, sizeof(with_threads) / sizeof(*with_threads));
    bench_offload();
    return EXIT_SUCCESS;
}
