/*
 * Runs one job through the runner on a real loop, and remembers what the runner told about it.
 */
#pragma once

#include <stdlib.h>

#include "tests/support/expect.h"

#include "context/task/task.h"
#include "handlers/runner.h"

/* ---- What the runner tells ---- */

struct told {
    enum job_outcome outcome;
    char error[128];
    char stack[512];
    char result[128];
    bool lost;
    int64_t retry_ms;
    unsigned subtasks;
    unsigned failed;
    unsigned late_subtasks;
    unsigned late_failed;
    int ended;
    int forgotten;
};

static struct told told;

/* What handlers did, in order. */
static char trace[512];

static inline void note(const char *text)
{
    size_t size = strlen(trace);

    (void)snprintf(trace + size, sizeof(trace) - size, "%s%s", size ? " " : "", text);
}

static inline void on_started(struct weft_job *job, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
}

static inline void on_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
    told.ended++;
    told.outcome = outcome->outcome;
    told.lost = outcome->lost;
    told.retry_ms = outcome->retry_ms;
    told.subtasks = job->subtasks;
    told.failed = job->subtasks_failed;
    (void)snprintf(told.error, sizeof(told.error), "%s", outcome->error ? outcome->error : "");
    (void)snprintf(told.stack, sizeof(told.stack), "%s", outcome->stack ? outcome->stack : "");
    (void)snprintf(told.result, sizeof(told.result), "%s", job->result ? job->result : "");
}

static inline void on_subtask_started(struct weft_job *job, struct weft_task *task, void *user)
{
    (void)task;
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
}

static inline void on_subtask_ended(struct weft_job *job, struct weft_task *task, int result, void *user)
{
    (void)result;
    on_subtask_started(job, task, user);
}

static inline void on_late(struct weft_job *job, unsigned subtasks, unsigned failed, void *user)
{
    (void)job;
    (void)user;
    told.late_subtasks += subtasks;
    told.late_failed += failed;
}

static inline void on_progress(struct weft_job *job, void *user)
{
    (void)user;
    note(job->progress);
}

/* Outside of the job's context, which is gone. */
static inline void on_forgotten(struct weft_job *job, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), NULL);
    EXPECT_TEXT(weft_job_id(job), "job-1");
    EXPECT(job->reported);
    told.forgotten++;
}

/* The last message that was enqueued, as text. */
static char enqueued[512];

static inline int on_enqueue(const char *queue, const struct job_field *fields, size_t count,
                             void (*done)(int result, const char *text, void *arg), void *arg, void *user)
{
    (void)user;
    size_t size = (size_t)snprintf(enqueued, sizeof(enqueued), "%s:", queue);
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(enqueued + size, sizeof(enqueued) - size, " %s=%s", fields[i].name, fields[i].value);
    done(0, "77-0", arg);
    return 0;
}

/* ---- Calls that do not return ---- */

static int stuck, unstuck;
static size_t stuck_frames;

static inline void on_stuck(struct weft_job *job, const uintptr_t *frames, size_t frame_count, void *user)
{
    (void)frames;
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
    stuck++;
    stuck_frames = frame_count;
}

static inline void on_unstuck(struct weft_job *job, void *user)
{
    (void)user;
    EXPECT_TEXT(weft_get("weft.job_id"), weft_job_id(job));
    unstuck++;
}

static const struct runner_events events = {
    .stuck = on_stuck,
    .unstuck = on_unstuck,
    .started = on_started,
    .ended = on_ended,
    .subtask_started = on_subtask_started,
    .subtask_ended = on_subtask_ended,
    .late_subtasks = on_late,
    .progressed = on_progress,
    .forgotten = on_forgotten,
    .enqueue = on_enqueue,
};

/* ---- Running one job ---- */

static const struct job_field metadata[] = {
    {.name = "user", .value = "ada", .size = 3},
    {.name = "weft.job_id", .value = "forged", .size = 6},
};

static inline struct job *new_record(unsigned attempt)
{
    struct job *record = calloc(1, sizeof(*record));

    assert_non_null(record);
    *record = (struct job){
        .id = "job-1",
        .type = "test",
        .queue = "default",
        .entry = "1-0",
        .root = "root-1",
        .payload = "body",
        .payload_size = 4,
        .metadata = metadata,
        .metadata_count = 2,
        .attempt = attempt,
    };
    return record;
}

struct run {
    struct weft_handler handlers[4];
    unsigned attempt;
    int64_t timeout_ms;
    bool shut_down;
    bool blocking;
    bool (*stop)(struct runner *runner, const char *queue, const char *name);
    const char *name; /* of what is to be stopped, once the job waits */
};

static inline void run_job(const struct run *run)
{
    const struct weft_handler *chain[4];
    struct job_type type = {.name = "test", .chain = chain, .attempts = 3, .backoff = {.base_ms = 40, .max_ms = 1000}};
    struct event_base *base = event_base_new();
    struct weft_loop *loop;
    struct runner runner;

    for (; type.chain_size < 4 && run->handlers[type.chain_size].run; type.chain_size++)
        chain[type.chain_size] = &run->handlers[type.chain_size];
    type.blocking = run->blocking;
    type.timeout_ms = run->timeout_ms ? run->timeout_ms : 60000;
    told = (struct told){0};
    trace[0] = '\0';
    assert_int_equal(weft_loop_new(base, &loop), 0);
    runner_init(&runner, loop, &events, NULL);
    assert_int_equal(runner_start(&runner, new_record(run->attempt ? run->attempt : 1), &type), 0);
    if (run->shut_down) {
        (void)event_base_loop(base, EVLOOP_ONCE);
        runner_shut_down(&runner);
    }
    if (run->stop) {
        (void)event_base_loop(base, EVLOOP_ONCE);
        assert_false(run->stop(&runner, "another", run->name));
        assert_false(run->stop(&runner, "default", "another"));
        assert_true(run->stop(&runner, "default", run->name));
    }
    (void)event_base_dispatch(base);
    (void)weft_loop_free(loop);
    event_base_free(base);
    assert_int_equal(told.ended, 1);
    assert_int_equal(told.forgotten, 1);
    assert_int_equal(attempt_count_alive(&runner), 0);
}

#define RUN(...) run_job(&(struct run){.handlers = {__VA_ARGS__}})
