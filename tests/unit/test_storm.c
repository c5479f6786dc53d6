/* Hundreds of tasks that do at random all that tasks can do, each of which must see nothing but its own context. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

enum { TASKS = 400, TASKS_WHEN_WATCHED = 150, STEPS = 40, GENERATIONS = 3 };

/* What the task that runs now is called; it is looked up in the context again and again. */
struct sailor {
    char id[24];
    unsigned seed;
    int generation;
    bool cancelled;
    struct weft_task *child; /* a reference */
    struct weft_future future;
};

static int pipe_ends[2];
static unsigned tasks_begun;
static atomic_int threads_used;

static void expect_own(const struct sailor *sailor)
{
    EXPECT_TEXT(weft_get("id"), sailor->id);
    EXPECT(weft_get_pointer("sailor") == sailor);
}

/* Looks at what a wait gave: any may be the one that tells of the cancellation, and all after it do. */
static void waited(struct sailor *sailor, int r)
{
    if (r == -ECANCELED)
        sailor->cancelled = true;
    EXPECT_EQUAL(r, sailor->cancelled ? -ECANCELED : 0);
    expect_own(sailor);
}

/* ---- What a sailor does ---- */

static void step_sleep(struct sailor *sailor)
{
    waited(sailor, weft_sleep_ms((uint64_t)(rand_r(&sailor->seed) % 4)));
}

static int work(void *arg)
{
    expect_own(arg);
    EXPECT_EQUAL(weft_set("id", "of the thread"), 0);
    atomic_fetch_add(&threads_used, 1);
    return 0;
}

static void step_offload(struct sailor *sailor)
{
    waited(sailor, weft_offload(work, sailor, NULL));
}

static void step_descriptor(struct sailor *sailor)
{
    int r = weft_wait_fd(pipe_ends[0], WEFT_READ, rand_r(&sailor->seed) % 3);

    waited(sailor, r == -ETIMEDOUT ? 0 : r);
}

static void complete(void *arg)
{
    struct sailor *sailor = arg;

    expect_own(sailor);
    weft_future_complete(&sailor->future, 0);
}

/* The callback is always waited for, since it uses the sailor. */
static void step_future(struct sailor *sailor)
{
    weft_future_init(&sailor->future);
    EXPECT_EQUAL(weft_call_later((uint64_t)(rand_r(&sailor->seed) % 3), complete, sailor), 0);
    if (!sailor->cancelled)
        waited(sailor, weft_future_wait(&sailor->future, NULL));
}

static int wait_in_run(void *arg)
{
    struct sailor *sailor = arg;

    EXPECT_TEXT(weft_get("inner"), sailor->id);
    step_sleep(sailor);
    EXPECT_TEXT(weft_get("inner"), sailor->id);
    return 0;
}

static void step_run(struct sailor *sailor)
{
    EXPECT_EQUAL(weft_run_with("inner", sailor->id, wait_in_run, sailor), 0);
    EXPECT_TEXT(weft_get("inner"), NULL);
}

static void step_scope(struct sailor *sailor)
{
    WEFT_SCOPE();
    EXPECT_EQUAL(weft_set("inner", "scope"), 0);
    step_sleep(sailor);
    EXPECT_TEXT(weft_get("inner"), "scope");
}

static int sail(void *arg);

static void step_spawn(struct sailor *sailor)
{
    if (sailor->generation >= GENERATIONS || sailor->child)
        return;
    struct sailor *child = calloc(1, sizeof(*child));
    assert_non_null(child);
    child->generation = sailor->generation + 1;
    sailor->child = weft_task_ref(weft_spawn("sailor", sail, child));
    EXPECT(sailor->child != NULL);
    expect_own(sailor);
}

static void step_cancel(struct sailor *sailor)
{
    if (sailor->child && rand_r(&sailor->seed) % 4 == 0)
        weft_cancel(sailor->child);
}

static void step_join(struct sailor *sailor)
{
    int result = 0;

    if (!sailor->child)
        return;
    int r = weft_join(sailor->child, &result);
    waited(sailor, r);
    if (r == 0)
        EXPECT_EQUAL(result, 77);
    sailor->child = weft_task_unref(sailor->child);
}

static void (*const steps[])(struct sailor *sailor) = {
    step_sleep, step_offload, step_descriptor, step_future, step_run, step_scope, step_spawn, step_cancel, step_join,
};

/* ---- A sailor's life ---- */

static void release_sailor(void *sailor)
{
    free(sailor);
}

static int sail(void *arg)
{
    struct sailor *sailor = arg;

    (void)snprintf(sailor->id, sizeof(sailor->id), "sailor-%u", ++tasks_begun);
    sailor->seed = tasks_begun;
    EXPECT_EQUAL(weft_set("id", sailor->id), 0);
    EXPECT_EQUAL(weft_set_pointer("sailor", sailor, release_sailor), 0);
    for (int i = 0; i < STEPS; i++)
        steps[(size_t)rand_r(&sailor->seed) % (sizeof(steps) / sizeof(*steps))](sailor);
    sailor->child = weft_task_unref(sailor->child);
    return 77;
}

static int set_sail(void *arg)
{
    int tasks = checker_is_watching() ? TASKS_WHEN_WATCHED : TASKS;

    (void)arg;
    for (int i = 0; i < tasks; i++) {
        struct sailor *sailor = calloc(1, sizeof(*sailor));

        assert_non_null(sailor);
        EXPECT(weft_spawn("sailor", sail, sailor) != NULL);
    }
    return 0;
}

static void tasks_in_a_storm_see_only_their_own_contexts(void **state)
{
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    loop_support_run(set_sail, NULL);
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    EXPECT(tasks_begun > TASKS_WHEN_WATCHED);
    EXPECT(threads_used > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {EXPECT_TEST(tasks_in_a_storm_see_only_their_own_contexts)};

    return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
