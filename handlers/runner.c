#include "handlers/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "context/current.h"
#include "context/fork_guard.h"
#include "context/frame.h"
#include "context/job_frame.h"
#include "context/machinery.h"
#include "context/task.h"
#include "context/time.h"

/* ---- Random numbers ---- */

/* xorshift128+: jitter and span IDs need speed, not secrecy. */
double runner_random(struct runner *runner)
{
    uint64_t one = runner->random[0], other = runner->random[1];

    runner->random[0] = other;
    one ^= one << 23;
    runner->random[1] = one ^ other ^ (one >> 18) ^ (other >> 5);
    return (double)((runner->random[1] + other) >> 11) * 0x1p-53;
}

/* ---- How it ended ---- */

/* What comes of a failed attempt. */
static void decide_failure(struct weft_job *job, struct attempt_outcome *outcome)
{
    outcome->failed = true;
    outcome->error = job->error ? job->error : "out of memory";
    outcome->stack = job->stack;
    if (job->verdict == VERDICT_FAIL || job->record->attempt >= attempt_limit(job)) {
        outcome->outcome = JOB_DEAD;
        return;
    }
    outcome->outcome = JOB_RETRY;
    outcome->retry_ms = job->verdict == VERDICT_RETRY
                            ? (int64_t)job->retry_ms
                            : retry_delay_ms(&job->type->backoff, job->record->attempt, runner_random(job->runner));
}

static struct attempt_outcome decide(struct weft_job *job, int result)
{
    struct attempt_outcome outcome = {.outcome = JOB_DONE, .duration_us = timer_now_us() - job->started_us};

    if (job->interruption == INTERRUPTED_LOST) {
        outcome.outcome = JOB_RETURNED;
        outcome.lost = true;
        return outcome;
    }
    if (result == 0)
        return outcome;
    switch (job->interruption) {
    case INTERRUPTED_SHUTDOWN:
        outcome.outcome = JOB_RETURNED;
        return outcome;
    case INTERRUPTED_CANCEL:
        outcome.outcome = JOB_CANCELLED;
        outcome.error = "cancelled";
        return outcome;
    case INTERRUPTED_TIMEOUT:
        if (result == -ETIME)
            attempt_set_error(job, "timed out after %lld ms", (long long)attempt_timeout_ms(job));
        break;
    case INTERRUPTED_NOT:
    case INTERRUPTED_LOST:
        break;
    }
    decide_failure(job, &outcome);
    return outcome;
}

/* ---- A job's way ---- */

static void link_running(struct runner *runner, struct weft_job *job)
{
    job->next = runner->running;
    if (job->next)
        job->next->previous = job;
    runner->running = job;
}

static void unlink_running(struct runner *runner, struct weft_job *job)
{
    if (job->next)
        job->next->previous = job->previous;
    if (job->previous)
        job->previous->next = job->next;
    else
        runner->running = job->next;
}

/* Of a time-out and a shutdown the first counts; somebody's wish, or another worker, counts for more than both. */
static void note_interruption(struct weft_job *job, enum interruption interruption)
{
    bool outranks = interruption >= INTERRUPTED_CANCEL && interruption > job->interruption;

    if (job->interruption == INTERRUPTED_NOT || outranks)
        job->interruption = interruption;
}

static void time_out(struct timer *timer)
{
    struct weft_job *job = (struct weft_job *)timer;

    note_interruption(job, INTERRUPTED_TIMEOUT);
    task_interrupt(job->task, -ETIME);
}

/* The task of an attempt, in the job's context from its first line to its last. */
MACHINERY static int run_attempt(void *arg)
{
    struct weft_job *job = arg;
    struct runner *runner = job->runner;

    job->task = weft_task_current();
    job->started_ms = time_unix_ms();
    job->started_us = timer_now_us();
    runner->events->started(job, runner->user);
    int result = loop_start_timer(runner->loop, &job->timeout, attempt_deadline_us(job));
    if (result == 0)
        result = attempt_run_chain(job);
    attempt_run_deferred(job);
    fork_guard_check();
    loop_stop_timer(runner->loop, &job->timeout);
    unlink_running(runner, job);

    /* The lines of a failure name its culprit, the others no handler. */
    (void)current_set_own(JOB_VALUE_HANDLER, result < 0 && job->culprit ? job->culprit->name : NULL);
    struct attempt_outcome outcome = decide(job, result);
    runner->events->ended(job, &outcome, runner->user);
    job->reported = true;
    job->task = NULL;
    return 0;
}

static const struct operation_class job_class = {.kind = "job"};

int runner_start(struct runner *runner, struct job *record, const struct job_type *type)
{
    struct weft_context *frame;
    int r = attempt_new(runner, record, type, &frame);

    if (r < 0)
        return r;

    struct weft_job *job = frame_owner(frame);
    struct task_start start = {
        .name = type->name, .fn = run_attempt, .arg = job, .context = frame, .class = &job_class};
    struct weft_task *task;
    r = task_start(runner->loop, &start, &task);
    if (r < 0) {
        job->record = NULL; /* stays the caller's */
        (void)weft_context_unref(frame);
        return r;
    }
    job->timeout.fire = time_out;
    job->task = task;
    link_running(runner, job);
    (void)weft_task_unref(task);
    return 0;
}

/* ---- Subtasks ---- */

struct weft_job *weft_job_current(void)
{
    return frame_owner(current_state.context);
}

static void subtask_spawned(struct weft_task *task, void *user)
{
    struct weft_job *job = weft_job_current();
    struct runner *runner = user;

    (void)task;
    if (!job)
        return;
    job->subtasks++;
    if (job->reported)
        runner->events->late_subtasks(job, 1, 0, runner->user);
}

static void subtask_started(struct weft_task *task, void *user)
{
    struct weft_job *job = weft_job_current();
    struct runner *runner = user;

    if (job)
        runner->events->subtask_started(job, task, runner->user);
}

static void subtask_ended(struct weft_task *task, int result, void *user)
{
    struct weft_job *job = weft_job_current();
    struct runner *runner = user;

    if (!job)
        return;
    runner->events->subtask_ended(job, task, result, runner->user);
    if (result == 0)
        return;
    job->subtasks_failed++;
    if (job->reported)
        runner->events->late_subtasks(job, 0, 1, runner->user);
}

/* ---- The runner ---- */

void runner_init(struct runner *runner, struct weft_loop *loop, const struct runner_events *events, void *user)
{
    *runner = (struct runner){.loop = loop, .events = events, .user = user};
    living_init(&runner->living);
    runner->observer = (struct loop_observer){
        .task_spawned = subtask_spawned,
        .task_started = subtask_started,
        .task_ended = subtask_ended,
        .user = runner,
    };
    loop_observe(loop, &runner->observer);
    enqueue_set_runner(runner);
    if (getrandom(runner->random, sizeof(runner->random), 0) != (ssize_t)sizeof(runner->random))
        runner->random[0] = (uint64_t)timer_now_us();
    runner->random[1] |= 1; /* all zeros would stay so */
}

void runner_shut_down(struct runner *runner)
{
    for (struct weft_job *job = runner->running; job; job = job->next)
        note_interruption(job, INTERRUPTED_SHUTDOWN);
    for (struct weft_task *task = runner->loop->tasks; task; task = task->next)
        task_interrupt(task, -ECANCELED);
}

/* The chain may be in a context that is not the job's, as inside weft_run_in(). */
static void interrupt_job(struct runner *runner, struct weft_job *job, enum interruption interruption)
{
    note_interruption(job, interruption);
    task_interrupt(job->task, -ECANCELED);
    for (struct weft_task *task = runner->loop->tasks; task; task = task->next)
        if (frame_owner(task->current.context) == job)
            task_interrupt(task, -ECANCELED);
}

/* Several messages may have the same ID. */
bool runner_cancel(struct runner *runner, const char *queue, const char *id)
{
    bool found = false;

    for (struct weft_job *job = runner->running; job; job = job->next) {
        if (strcmp(job->record->id, id) != 0 || strcmp(job->record->queue, queue) != 0)
            continue;
        interrupt_job(runner, job, INTERRUPTED_CANCEL);
        found = true;
    }
    return found;
}

bool runner_lose(struct runner *runner, const char *queue, const char *entry)
{
    struct weft_job *job = runner->running;

    while (job && (strcmp(job->record->entry, entry) != 0 || strcmp(job->record->queue, queue) != 0))
        job = job->next;
    if (!job)
        return false;
    interrupt_job(runner, job, INTERRUPTED_LOST);
    return true;
}
