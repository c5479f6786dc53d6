/* Active jobs: every job of the process is among them, from its making to its last context's end. */
#include <pthread.h>

#include "context/frame.h"
#include "context/seed.h"
#include "tests/support/runner_support.h"

/* The names of the active jobs, with how many contexts each has. */
static char names[256];

static int add_name(const struct weft_job *job, void *arg)
{
    size_t used = strlen(names);

    (void)snprintf(names + used, sizeof(names) - used, "%s%s%s:%u", used ? " " : "", job->record->id,
                   job->reported ? "*" : "", seed_count_frames(job->seed));
    return arg && strcmp(arg, job->record->id) == 0;
}

static const char *list(struct weft_job *job)
{
    names[0] = '\0';
    EXPECT_EQUAL(active_jobs_each(&job->runner->active_jobs, add_name, NULL), 0);
    return names;
}

static int look(struct weft_job *job)
{
    EXPECT_TEXT(list(job), "job-1:1");
    return 0;
}

static int look_late(void *job)
{
    int r = weft_sleep_ms(20);

    EXPECT_TEXT(list(job), "job-1*:1");
    return r;
}

static int leaves_a_task(struct weft_job *job)
{
    EXPECT(weft_spawn("late", look_late, job) != NULL);
    EXPECT_TEXT(list(job), "job-1:2");
    return 0;
}

static void a_job_is_among_the_living_while_it_runs_and_while_something_of_it_does(void **state)
{
    (void)state;
    RUN({"look", look});
    RUN({"leaves_a_task", leaves_a_task});
}

/* ---- Several ---- */

static struct weft_job *make_job(struct runner *runner, const char *id, struct weft_context **ret_context)
{
    static const struct job_type type = {.name = "test"};
    struct job *record = new_record(1);

    record->id = id;
    assert_int_equal(attempt_new(runner, record, &type, ret_context), 0);
    return frame_owner(*ret_context);
}

static void *release(void *context)
{
    return weft_context_unref(context);
}

static void the_oldest_come_first_and_whoever_ends_is_gone(void **state)
{
    static const struct runner_events nobody = {0};
    struct runner runner = {.events = &nobody};
    struct weft_context *contexts[4];
    static const char *const ids[] = {"a", "b", "c", "d"};
    static const char *const left[] = {"a:1 c:1 d:1", "c:1 d:1", "c:1", ""};
    static const size_t order[] = {1, 0, 3, 2};

    (void)state;
    active_jobs_init(&runner.active_jobs);
    for (size_t i = 0; i < 4; i++)
        (void)make_job(&runner, ids[i], &contexts[i]);
    char second[] = "b";
    names[0] = '\0';
    assert_int_equal(active_jobs_each(&runner.active_jobs, add_name, second), 1);
    assert_string_equal(names, "a:1 b:1");
    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, release, contexts[order[i]]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        names[0] = '\0';
        assert_int_equal(active_jobs_each(&runner.active_jobs, add_name, NULL), 0);
        assert_string_equal(names, left[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_job_is_among_the_living_while_it_runs_and_while_something_of_it_does),
        EXPECT_TEST(the_oldest_come_first_and_whoever_ends_is_gone),
    };

    return cmocka_run_group_tests_name("living", tests, NULL, NULL);
}
