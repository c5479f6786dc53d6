/*
 * The handlers of the chaos test. Whatever they do is logged, and also written to a history that weft has no part in:
 * one line of JSON, by one write() to the file that CHAOS_HISTORY names. A line has what the context says of the job,
 * and the token that came with the payload and was passed along by hand, so that the checker can compare the two.
 *
 * The payload is `TOKEN NUMBER`; what the number means is up to the handler.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/weft.h>

enum { TOKEN_SIZE = 200, LINE_SIZE = 2000, CHILD_TRIES = 100 };

struct order {
    struct weft_job *job;
    char token[TOKEN_SIZE];
    unsigned long number;
};

static int history = -1;

static int open_history(void)
{
    const char *path = getenv("CHAOS_HISTORY");

    history = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    return history < 0 ? -ENOENT : 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const char *value_of(const char *name)
{
    const char *value = weft_get(name);

    return value ? value : "";
}

/* One event: into the log first, so that what is in the history must be in the log. `more` is more members of the
 * history's JSON object, or nothing. */
static void say(const char *event, const char *token, const char *more)
{
    struct weft_job *job = weft_job_current();
    int64_t now = now_ns();
    char line[LINE_SIZE];

    weft_info("chaos %s token=%s at=%" PRId64, event, token, now);
    int size = snprintf(line, sizeof(line),
                        "{\"t\":%" PRId64 ",\"pid\":%d,\"event\":\"%s\",\"token\":\"%s\",\"context_token\":\"%s\","
                        "\"job\":\"%s\",\"context_job\":\"%s\",\"queue\":\"%s\",\"attempt\":%u%s}\n",
                        now, getpid(), event, token, value_of("token"), job ? weft_job_id(job) : "",
                        value_of("weft.job_id"), job ? weft_job_queue(job) : "", job ? weft_job_attempt(job) : 0, more);
    if (size < 0 || size >= LINE_SIZE || write(history, line, (size_t)size) != size)
        abort();
}

static void say_result(const char *event, const char *token, int result)
{
    char more[40];

    snprintf(more, sizeof(more), ",\"result\":%d", result);
    say(event, token, more);
}

/* Runs what a handler is about between `start` and `finish`. */
static int carry_out(struct weft_job *job, int (*body)(struct order *order))
{
    struct order order = {.job = job};

    if (sscanf(weft_job_payload(job, NULL), "%199s %lu", order.token, &order.number) != 2)
        return weft_fail(job, "the payload is not TOKEN NUMBER");
    say("start", order.token, "");
    int result = body(&order);
    say_result("finish", order.token, result);
    return result;
}

/* Whether this attempt is one of the first `number`, which are those that go wrong. */
static bool goes_wrong(const struct order *order)
{
    return weft_job_attempt(order->job) <= order->number;
}

/* ---- Harmless ones ---- */

static int nap_body(struct order *order)
{
    return weft_sleep_ms(order->number);
}

/* The first `number` attempts fail. */
static int flaky_body(struct order *order)
{
    int r = weft_sleep_ms(5);

    if (r < 0)
        return r;
    return goes_wrong(order) ? -EIO : 0;
}

/* Asks for another attempt, once. */
static int again_body(struct order *order)
{
    return weft_job_attempt(order->job) == 1 ? weft_retry(order->job, order->number, "once more") : 0;
}

static int refuse_body(struct order *order)
{
    return weft_fail(order->job, "refused");
}

static int doze(void *arg)
{
    const struct order *order = arg;

    say("thread", order->token, "");
    usleep((useconds_t)order->number * 1000);
    say("thread", order->token, "");
    return 0;
}

/* Blocks a thread of the pool. */
static int thread_body(struct order *order)
{
    return weft_offload(doze, order, NULL);
}

/* ---- Subtasks ---- */

static int subtask(void *arg)
{
    const struct order *order = arg;

    say("subtask", order->token, "");
    int r = weft_sleep_ms(order->number);
    say("subtask", order->token, "");
    return r;
}

/* Leaves two subtasks behind that go on after the job is done. */
static int spawn_body(struct order *order)
{
    struct order *copy = weft_alloc(order->job, sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    *copy = *order;
    for (int i = 0; i < 2; i++) {
        if (!weft_spawn("chaos", subtask, copy))
            return -errno;
    }
    return 0;
}

/* ---- Child jobs ---- */

/* An attempt to enqueue whose outcome nobody learns may have succeeded, so that each has a token of its own. */
static int enqueue_child(struct order *order, const char *queue)
{
    char token[TOKEN_SIZE + 32], payload[TOKEN_SIZE + 64], more[TOKEN_SIZE + 256], id[WEFT_ID_SIZE];
    const char *const metadata[] = {"token", token, NULL};
    const struct weft_enqueue_options options = {.queue = queue, .metadata = metadata};

    snprintf(token, sizeof(token), "%s.%" PRIx64, order->token, now_ns());
    snprintf(payload, sizeof(payload), "%s 20", token);
    snprintf(more, sizeof(more), ",\"child\":\"%s\",\"child_queue\":\"%s\"", token, queue);
    say("try", order->token, more);
    int r = weft_enqueue("nap", payload, strlen(payload), &options, id);
    if (r == 0) {
        snprintf(more, sizeof(more), ",\"child\":\"%s\",\"child_queue\":\"%s\",\"child_job\":\"%s\"", token, queue, id);
        say("child", order->token, more);
    }
    return r;
}

static int parent_body(struct order *order)
{
    int r = -EIO;

    for (int i = 0; i < CHILD_TRIES && r < 0; i++) {
        r = enqueue_child(order, order->number % 2 ? "default" : "bulk");
        if (r < 0 && weft_sleep_ms(100) < 0)
            return -errno;
    }
    return r < 0 ? r : weft_sleep_ms(5);
}

/* ---- Those that take their worker with them ---- */

static void segfault(void)
{
    *(volatile int *)8 = 1;
}

static void divide(void)
{
    volatile int one = 1, zero = 0;

    one = one / zero;
}

static void leave(void)
{
    _exit(3);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int overflow_deeper(volatile char *above)
{
    volatile char room[4096];

    room[0] = above[0];
    return overflow_deeper(room) + room[0];
}
#pragma GCC diagnostic pop

static void overflow(void)
{
    volatile char first = 0;

    (void)overflow_deeper(&first);
}

static void loop(void)
{
    for (volatile unsigned turn = 0;; turn++)
        continue;
}

static int crash(struct order *order, void (*how)(void))
{
    int r = weft_sleep_ms(20);

    if (r < 0)
        return r;
    if (goes_wrong(order)) {
        say("crash", order->token, "");
        how();
    }
    return 0;
}

#define CRASH_BODY(how_)                                                                                               \
    static int how_##_body(struct order *order)                                                                        \
    {                                                                                                                  \
        return crash(order, how_);                                                                                     \
    }

CRASH_BODY(segfault)
CRASH_BODY(abort)
CRASH_BODY(divide)
CRASH_BODY(leave)
CRASH_BODY(overflow)
CRASH_BODY(loop)

#define HANDLER(name_)                                                                                                 \
    static int name_(struct weft_job *job)                                                                             \
    {                                                                                                                  \
        return carry_out(job, name_##_body);                                                                           \
    }

HANDLER(nap)
HANDLER(flaky)
HANDLER(again)
HANDLER(refuse)
HANDLER(thread)
HANDLER(spawn)
HANDLER(parent)

#define CRASH_HANDLER(how_)                                                                                            \
    static int crash_##how_(struct weft_job *job)                                                                      \
    {                                                                                                                  \
        return carry_out(job, how_##_body);                                                                            \
    }

CRASH_HANDLER(segfault)
CRASH_HANDLER(abort)
CRASH_HANDLER(divide)
CRASH_HANDLER(leave)
CRASH_HANDLER(overflow)
CRASH_HANDLER(loop)

WEFT_PLUGIN_WITH_HOOKS("chaos", open_history, NULL, WEFT_HANDLER("nap", nap), WEFT_HANDLER("flaky", flaky),
                       WEFT_HANDLER("again", again), WEFT_HANDLER("refuse", refuse), WEFT_HANDLER("thread", thread),
                       WEFT_HANDLER("spawn", spawn), WEFT_HANDLER("parent", parent),
                       WEFT_HANDLER("crash_segfault", crash_segfault), WEFT_HANDLER("crash_abort", crash_abort),
                       WEFT_HANDLER("crash_divide", crash_divide), WEFT_HANDLER("crash_leave", crash_leave),
                       WEFT_HANDLER("crash_overflow", crash_overflow), WEFT_HANDLER("crash_loop", crash_loop));
