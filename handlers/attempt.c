#include "handlers/attempt.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/boundary.h"
#include "context/current.h"
#include "context/fork_guard.h"
#include "context/frame.h"
#include "context/lock.h"
#include "context/log/log.h"
#include "context/machinery.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "handlers/runner.h"

/* What an attempt takes besides its payload: itself, its record, its frame, its task. */
enum { ATTEMPT_BYTES = 2048 };

long attempt_count_alive(const struct runner *runner)
{
    return atomic_load_explicit(&runner->jobs_alive, memory_order_relaxed);
}

static size_t bytes_alive(const struct runner *runner)
{
    return (size_t)attempt_count_alive(runner) * ATTEMPT_BYTES +
           atomic_load_explicit(&runner->payloads_alive, memory_order_relaxed);
}

size_t attempt_take_peak_bytes(struct runner *runner)
{
    return atomic_exchange_explicit(&runner->peak_bytes, bytes_alive(runner), memory_order_relaxed);
}

/* Called by the last frame of the job, on whichever thread that was. */
static void attempt_free(void *owner)
{
    struct weft_job *job = owner;
    struct runner *runner = job->runner;

    assert(!job->task);
    active_jobs_remove(&runner->active_jobs, job);
    atomic_fetch_sub_explicit(&runner->payloads_alive, job->payload_size, memory_order_relaxed);
    /* One without its record never started. */
    if (job->record && runner->events->forgotten)
        runner->events->forgotten(job, runner->user);
    memory_done(&job->memory);
    (void)pthread_mutex_destroy(&job->lock);
    free(job->result);
    free(job->progress);
    (void)job_free(job->record);
    free(job);
    atomic_fetch_sub_explicit(&runner->jobs_alive, 1, memory_order_relaxed);
}

int attempt_new(struct runner *runner, struct job *record, const struct job_type *type, struct weft_context **ret_frame)
{
    struct weft_job *job = calloc(1, sizeof(*job));

    assert(record->attempt > 0);
    if (!job)
        return -ENOMEM;
    job->runner = runner;
    job->record = record;
    job->type = type;
    (void)pthread_mutex_init(&job->lock, NULL);
    if (record->trace_id)
        (void)snprintf(job->span_id, sizeof(job->span_id), "%08x%08x", (unsigned)(runner_random(runner) * 0x1p32),
                       (unsigned)(runner_random(runner) * 0x1p32) | 1u);
    struct job_values values = job_values_of(record, job->attempt_text);
    values.span_id = job->span_id;
    int r = job_frame_new(&values, job, attempt_free, ret_frame);
    if (r < 0) {
        (void)pthread_mutex_destroy(&job->lock);
        free(job);
        return r;
    }
    job->seed = frame_seed(*ret_frame);
    active_jobs_add(&runner->active_jobs, job);
    job->payload_size = record->payload_size;
    atomic_fetch_add_explicit(&runner->payloads_alive, job->payload_size, memory_order_relaxed);
    atomic_fetch_add_explicit(&runner->jobs_alive, 1, memory_order_relaxed);
    /* Attempts are made on one thread. */
    size_t bytes = bytes_alive(runner);
    if (bytes > atomic_load_explicit(&runner->peak_bytes, memory_order_relaxed))
        atomic_store_explicit(&runner->peak_bytes, bytes, memory_order_relaxed);
    return 0;
}

unsigned attempt_limit(const struct weft_job *job)
{
    return job->record->attempts ? job->record->attempts : job->type->attempts;
}

int64_t attempt_timeout_ms(const struct weft_job *job)
{
    return job->record->timeout_ms ? job->record->timeout_ms : job->type->timeout_ms;
}

int64_t attempt_deadline_us(const struct weft_job *job)
{
    /* Whoever reads the log so slowly that it keeps the worker does so on no job's time. */
    int64_t lost_us = log_waited_us() - job->log_waited_us;

    return job->started_us ? job->started_us + attempt_timeout_ms(job) * 1000 + lost_us : 0;
}

void attempt_set_error(struct weft_job *job, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    lock_take(&job->lock);
    if (!job->closed) {
        job->error = memory_vprintf(&job->memory, format, args);
        job->stack = NULL;
    }
    lock_give(&job->lock);
    va_end(args);
}

void attempt_close(struct weft_job *job)
{
    lock_take(&job->lock);
    job->closed = true;
    lock_give(&job->lock);
}

char *attempt_copy_progress(struct weft_job *job)
{
    lock_take(&job->lock);
    char *copy = job->progress ? strdup(job->progress) : NULL;
    lock_give(&job->lock);
    return copy;
}

bool attempt_runs_here(const struct weft_job *job)
{
    const struct weft_task *task = job->type->blocking ? offload_task_here() : weft_task_current();

    return task && task == job->task;
}

/* ---- The chain ---- */

/* Notes how a handler has ended. A failure that no handler put into words is told by the handler's name and the
 * error's. The culprit is the innermost handler that failed, not the middleware that passes its error on. After a
 * success, what the handler may have swallowed is over: a later failure has reasons of its own. */
static void note_result(struct weft_job *job, const struct weft_handler *handler, int result)
{
    lock_take(&job->lock);
    if (result == 0 && !job->closed) {
        job->verdict = VERDICT_NONE;
        job->error = job->stack = NULL;
        job->culprit = NULL;
    } else if (!job->closed && (!job->culprit || job->culprit_result != result)) {
        job->culprit = handler;
        job->culprit_result = result;
    }
    bool explained = result == 0 || job->verdict != VERDICT_NONE || job->error;
    lock_give(&job->lock);
    if (!explained)
        attempt_set_error(job, "%s: %s", handler->name, strerror(-result));
}

struct handler_call {
    weft_handler_fn *run;
    struct weft_job *job;
};

MACHINERY static int call_handler(void *arg)
{
    const struct handler_call *call = arg;

    return call->run(call->job);
}

/* An exception that leaves a handler is a failure in its own words. */
MACHINERY static int run_handler(struct weft_job *job, const struct weft_handler *handler)
{
    struct boundary boundary;
    int result = boundary_call(call_handler, &(struct handler_call){handler->run, job}, &boundary);

    if (__builtin_expect(boundary.thrown, 0)) {
        attempt_set_error(job, "%s: %s", handler->name, BOUNDARY_WORDS(&boundary));
        free(boundary.words);
    }
    return result;
}

MACHINERY int attempt_run_chain(struct weft_job *job)
{
    assert(job->position <= job->type->chain_size);
    while (job->position < job->type->chain_size) {
        const struct weft_handler *handler = job->type->chain[job->position++];

        atomic_store_explicit(&job->at, handler, memory_order_relaxed);
        /* Set, not scoped: what one handler sets is there for the next. */
        int result = current_set_own(JOB_VALUE_HANDLER, handler->name);
        weft_debug("handler %s starts, %zu of %zu", handler->name, job->position, job->type->chain_size);
        if (result == 0)
            result = run_handler(job, handler);
        fork_guard_check();
        if (result > 0) {
            attempt_set_error(job, "%s: returned %d, which is neither 0 nor a negative errno", handler->name, result);
            result = -EPROTO;
        }
        note_result(job, handler, result);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Also after a failure: whether the job goes on is for the caller to say, the handlers that were skipped stay so. */
static void end_rest(struct weft_job **job)
{
    (*job)->position = (*job)->type->chain_size;
    (*job)->rest_ran = true;
}

int weft_next(struct weft_job *job)
{
    if (!attempt_runs_here(job))
        return task_result(-EDEADLK);
    if (job->rest_ran)
        return task_result(-EALREADY);

    struct weft_job *running __attribute__((cleanup(end_rest))) = job;
    struct current_scope spare;
    struct current_scope *run CURRENT_RUN_ENDS = current_begin_run(weft_capture(), &spare);
    return attempt_run_chain(running);
}

void attempt_run_deferred(struct weft_job *job)
{
    for (;;) {
        lock_take(&job->lock);
        struct deferred *deferred = job->deferred;
        if (deferred)
            job->deferred = deferred->next;
        lock_give(&job->lock);
        if (!deferred)
            return;
        struct boundary boundary;
        boundary_call_void(deferred->fn, deferred->arg, &boundary);
        if (boundary.thrown)
            boundary_report(&boundary, "an exception has ended a deferred function");
    }
}
