#include "handlers/runner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "context/current.h"
#include "context/fork_guard.h"
#include "context/frame.h"
#include "context/log/job_log.h"
#include "context/log/log.h"
#include "context/machinery.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"
#include "handlers/enqueue.h"

/* How long a call may go on after its job was interrupted: by a time-out, a cancellation or a loss; and by a shutdown,
 * after which the process has little time left. */
#define CALL_GRACE_US     (INT64_C(3000) * 1000)
#define SHUTDOWN_GRACE_US (INT64_C(1000) * 1000)

/* How long before its end the thread is asked where it is. */
#define WHERE_US (INT64_C(100) * 1000)

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

/* What comes of a failed attempt, which is closed. */
static void decide_failure(struct weft_job *job, struct attempt_outcome *outcome)
{
    outcome->failed = true;
    if (!outcome->error) {
        outcome->error = job->error ? job->error : "out of memory";
        outcome->stack = job->stack;
    }
    if (job->verdict == VERDICT_FAIL || job->record->attempt >= attempt_limit(job)) {
        outcome->outcome = JOB_DEAD;
        return;
    }
    outcome->outcome = JOB_RETRY;
    outcome->retry_ms = job->verdict == VERDICT_RETRY
                            ? (int64_t)job->retry_ms
                            : retry_delay_ms(&job->type->backoff, job->record->attempt, runner_random(job->runner));
}

/* `given_up`: what is said of an attempt that is not waited for any longer; NULL: it has ended with `result`. */
static struct attempt_outcome decide(struct weft_job *job, int result, const char *given_up)
{
    struct attempt_outcome outcome = {.outcome = JOB_DONE, .duration_us = time_steady_us() - job->started_us};

    if (job->interruption == INTERRUPTED_TIMEOUT && (result == -ETIME || result == -ECANCELED) && !given_up)
        attempt_set_error(job, "timed out after %lld ms", (long long)attempt_timeout_ms(job));
    assert(!job->reported && job->started_us > 0);
    attempt_close(job);
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
        outcome.error = given_up;
        break;
    case INTERRUPTED_NOT:
    case INTERRUPTED_LOST:
        break;
    }
    decide_failure(job, &outcome);
    return outcome;
}

/* ---- A job's way ---- */

/* Of a time-out and a shutdown the first counts; somebody's wish, or another worker, counts for more than both. */
static void note_interruption(struct weft_job *job, enum interruption interruption)
{
    assert(interruption != INTERRUPTED_NOT && !job->reported);
    static const char *const reasons[] = {
        [INTERRUPTED_TIMEOUT] = "its time is over",
        [INTERRUPTED_SHUTDOWN] = "this worker ends",
        [INTERRUPTED_CANCEL] = "it is cancelled",
        [INTERRUPTED_LOST] = "another worker has it",
    };
    bool outranks = interruption >= INTERRUPTED_CANCEL && interruption > job->interruption;

    if (job->interruption != INTERRUPTED_NOT && !outranks)
        return;
    job->interruption = interruption;
    job_log_debug(job->record, "interrupted: %s", reasons[interruption]);
}

static void time_out(struct timer *timer);

/* ---- Calls that do not return ---- */

/* The job ends as its interruption has it. Its task stays where it is, with all that the thread may still use: nothing
 * of that can be taken from under it. Where the call returns after all, the chain comes to its end, and nobody asks
 * how. */
static void give_up(struct timer *timer)
{
    struct weft_job *job = (struct weft_job *)timer;
    struct runner *runner = job->runner;
    const struct weft_handler *at = atomic_load_explicit(&job->at, memory_order_relaxed);
    uintptr_t frames[OFFLOAD_FRAMES_MAX];
    char words[128];
    struct current saved;

    if (!offload_is_under_way(job->task))
        return;
    size_t count = offload_where(job->task, frames);
    offload_abandon(job->task);
    LIST_REMOVE(job, among_running);
    (void)snprintf(words, sizeof(words), "timed out after %lld ms, in a call that did not return",
                   (long long)attempt_timeout_ms(job));
    struct attempt_outcome outcome = decide(job, job->interruption == INTERRUPTED_TIMEOUT ? -ETIME : -ECANCELED, words);

    current_enter(&saved, weft_context_ref(job->task->current.context));
    (void)current_set_own(JOB_VALUE_HANDLER, at ? at->name : NULL);
    runner->events->stuck(job, frames, count, runner->user);
    runner->events->ended(job, &outcome, runner->user);
    current_leave(&saved);
    job->reported = true;
}

static void ask_where(struct timer *timer)
{
    struct weft_job *job = (struct weft_job *)timer;

    offload_ask_where(job->task);
    timer->fire = give_up;
    (void)!loop_start_timer(job->runner->loop, timer, time_steady_us() + WHERE_US);
}

/* For a job that has just been interrupted. One that is in no call now will not be in one any more. */
static void give_up_soon(struct weft_job *job, int64_t grace_us)
{
    int64_t deadline_us = time_steady_us() + grace_us - WHERE_US;
    bool waits = job->timeout.place && job->timeout.fire != time_out;

    if (!offload_is_under_way(job->task) || (waits && job->timeout.deadline_us <= deadline_us))
        return;
    loop_stop_timer(job->runner->loop, &job->timeout);
    job->timeout.fire = ask_where;
    /* The place of the one that was stopped, or has just fired, is there. */
    (void)!loop_start_timer(job->runner->loop, &job->timeout, deadline_us);
}

/* A subtask that was interrupted inside a call. It has no outcome: what is given up is only that it is waited for. */
struct straggler {
    struct timer timer; /* first */
    LIST_ENTRY(straggler) entry;
    struct runner *runner;
    struct weft_task *task;
    bool given_up;
};

static struct straggler *find_straggler(struct runner *runner, const struct weft_task *task)
{
    struct straggler *straggler;

    LIST_FOREACH (straggler, &runner->stragglers, entry)
        if (straggler->task == task)
            break;
    return straggler;
}

static void give_subtask_up(struct timer *timer)
{
    struct straggler *straggler = (struct straggler *)timer;
    struct runner *runner = straggler->runner;
    uintptr_t frames[OFFLOAD_FRAMES_MAX];
    struct current saved;

    if (!offload_is_under_way(straggler->task))
        return;
    size_t count = offload_where(straggler->task, frames);
    offload_abandon(straggler->task);
    straggler->given_up = true;
    current_enter(&saved, weft_context_ref(straggler->task->current.context));
    runner->events->stuck(weft_job_current(), frames, count, runner->user);
    current_leave(&saved);
}

static void ask_where_subtask_is(struct timer *timer)
{
    struct straggler *straggler = (struct straggler *)timer;

    offload_ask_where(straggler->task);
    timer->fire = give_subtask_up;
    (void)!loop_start_timer(straggler->runner->loop, timer, time_steady_us() + WHERE_US);
}

/* Without memory it is not given up, and the process ends when its time is over. */
static void give_subtask_up_soon(struct runner *runner, struct weft_task *task, int64_t grace_us)
{
    int64_t deadline_us = time_steady_us() + grace_us - WHERE_US;
    struct straggler *straggler = find_straggler(runner, task);
    bool waits = straggler && straggler->timer.place;

    if (!offload_is_under_way(task) || (waits && straggler->timer.deadline_us <= deadline_us))
        return;
    if (!straggler) {
        straggler = calloc(1, sizeof(*straggler));
        if (!straggler)
            return;
        straggler->runner = runner;
        straggler->task = task;
        LIST_INSERT_HEAD(&runner->stragglers, straggler, entry);
    }
    loop_stop_timer(runner->loop, &straggler->timer);
    straggler->timer.fire = ask_where_subtask_is;
    (void)!loop_start_timer(runner->loop, &straggler->timer, deadline_us);
}

static void time_out(struct timer *timer)
{
    struct weft_job *job = (struct weft_job *)timer;
    int64_t deadline_us = attempt_deadline_us(job);

    /* It has moved while the log kept the worker. */
    if (deadline_us > time_steady_us()) {
        job->task->deadline_us = deadline_us;
        (void)!loop_start_timer(job->runner->loop, timer, deadline_us);
        return;
    }
    note_interruption(job, INTERRUPTED_TIMEOUT);
    task_interrupt(job->task, -ETIME);
    give_up_soon(job, CALL_GRACE_US);
}

/* ---- An attempt ---- */

/* What no chain gives. */
enum { NOT_RUN = 1 };

MACHINERY static int run_blocking_chain(void *arg)
{
    int result = attempt_run_chain(arg);

    attempt_run_deferred(arg);
    return result;
}

/* On a thread, where the job has its turn. One that was interrupted while it waited for that does not begin. */
static int run_on_thread(struct weft_job *job, int turn)
{
    int result = NOT_RUN;

    if (turn < 0)
        return turn;
    int r = offload_run(run_blocking_chain, job, NULL, &result);
    if (result == OFFLOAD_THREAD_ENDED)
        attempt_set_error(job, "%s: has ended its thread, by pthread_exit() or pthread_cancel(), and not returned",
                          atomic_load_explicit(&job->at, memory_order_relaxed)->name);
    return result == NOT_RUN ? r : result;
}

static int take_turn(struct weft_job *job)
{
    const struct runner *runner = job->runner;

    if (offload_is_crowded() && runner->events->queued) {
        job->queued = true;
        weft_debug("waiting for a thread: all of the pool are taken");
        runner->events->queued(job, runner->user);
    }
    return offload_take_turn(NULL);
}

/* The task of an attempt, in the job's context from its first line to its last. The time of one that blocks begins when
 * there is a thread for it. */
MACHINERY static int run_attempt(void *arg)
{
    struct weft_job *job = arg;
    struct runner *runner = job->runner;

    job->task = weft_task_current();
    int turn = job->type->blocking ? take_turn(job) : 0;
    job->started_ms = time_unix_ms();
    job->started_us = time_steady_us();
    job->log_waited_us = log_waited_us();
    job->task->deadline_us = attempt_deadline_us(job);
    runner->events->started(job, runner->user);
    int result = loop_start_timer(runner->loop, &job->timeout, attempt_deadline_us(job));
    if (job->type->blocking && result < 0 && turn == 0)
        offload_give_turn();
    else if (job->type->blocking)
        result = run_on_thread(job, turn);
    else if (result == 0)
        result = attempt_run_chain(job);
    attempt_run_deferred(job);
    fork_guard_check();
    if (job->reported) {
        runner->events->unstuck(job, runner->user);
        job->task = NULL;
        return 0;
    }
    loop_stop_timer(runner->loop, &job->timeout);
    LIST_REMOVE(job, among_running);

    /* The lines of a failure name its culprit, the others no handler. */
    (void)current_set_own(JOB_VALUE_HANDLER, result < 0 && job->culprit ? job->culprit->name : NULL);
    struct attempt_outcome outcome = decide(job, result, NULL);
    runner->events->ended(job, &outcome, runner->user);
    job->reported = true;
    job->task = NULL;
    return 0;
}

static const struct operation_class job_class = {.kind = "job"};

int runner_start(struct runner *runner, struct job *record, const struct job_type *type)
{
    struct weft_context *frame;

    assert(runner->loop == loop_current());
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
    LIST_INSERT_HEAD(&runner->running, job, among_running);
    (void)weft_task_unref(task);
    return 0;
}

/* ---- Subtasks ---- */

struct weft_job *weft_job_current(void)
{
    return frame_owner(current_state.context);
}

static void on_task_spawned(struct weft_task *task, void *user)
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

static void on_task_started(struct weft_task *task, void *user)
{
    struct weft_job *job = weft_job_current();
    struct runner *runner = user;

    if (job)
        runner->events->subtask_started(job, task, runner->user);
}

static void on_task_ended(struct weft_task *task, int result, void *user)
{
    struct weft_job *job = weft_job_current();
    struct runner *runner = user;
    struct straggler *straggler = find_straggler(runner, task);

    if (straggler) {
        LIST_REMOVE(straggler, entry);
        loop_stop_timer(runner->loop, &straggler->timer);
        if (straggler->given_up)
            runner->events->unstuck(job, runner->user);
        free(straggler);
    }
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
    assert(loop && events->started && events->ended);
    *runner = (struct runner){.loop = loop, .events = events, .user = user};
    active_jobs_init(&runner->active_jobs);
    runner->observer = (struct loop_observer){
        .task_spawned = on_task_spawned,
        .task_started = on_task_started,
        .task_ended = on_task_ended,
        .user = runner,
    };
    loop_observe(loop, &runner->observer);
    enqueue_set_runner(runner);
    if (getrandom(runner->random, sizeof(runner->random), 0) != (ssize_t)sizeof(runner->random))
        runner->random[0] = (uint64_t)time_steady_us();
    runner->random[1] |= 1; /* all zeros would stay so */
}

void runner_shut_down(struct runner *runner)
{
    struct weft_task *task;
    struct weft_job *job;

    LIST_FOREACH (job, &runner->running, among_running)
        note_interruption(job, INTERRUPTED_SHUTDOWN);
    LIST_FOREACH (task, &runner->loop->tasks, in_loop)
        task_interrupt(task, -ECANCELED);
    LIST_FOREACH (job, &runner->running, among_running)
        give_up_soon(job, SHUTDOWN_GRACE_US);
    LIST_FOREACH (task, &runner->loop->tasks, in_loop)
        if (task->observed)
            give_subtask_up_soon(runner, task, SHUTDOWN_GRACE_US);
}

/* The chain may be in a context that is not the job's, as inside weft_run_in(). */
static void interrupt_job(struct runner *runner, struct weft_job *job, enum interruption interruption)
{
    struct weft_task *task;

    note_interruption(job, interruption);
    task_interrupt(job->task, -ECANCELED);
    LIST_FOREACH (task, &runner->loop->tasks, in_loop) {
        if (frame_owner(task->current.context) != job)
            continue;
        task_interrupt(task, -ECANCELED);
        if (task->observed)
            give_subtask_up_soon(runner, task, CALL_GRACE_US);
    }
    give_up_soon(job, CALL_GRACE_US);
}

/* Several messages may have the same ID. */
bool runner_cancel(struct runner *runner, const char *queue, const char *id)
{
    struct weft_job *job;
    bool found = false;

    LIST_FOREACH (job, &runner->running, among_running) {
        if (strcmp(job->record->id, id) != 0 || strcmp(job->record->queue, queue) != 0)
            continue;
        interrupt_job(runner, job, INTERRUPTED_CANCEL);
        found = true;
    }
    return found;
}

bool runner_lose(struct runner *runner, const char *queue, const char *entry)
{
    struct weft_job *job;

    LIST_FOREACH (job, &runner->running, among_running) {
        if (strcmp(job->record->entry, entry) != 0 || strcmp(job->record->queue, queue) != 0)
            continue;
        interrupt_job(runner, job, INTERRUPTED_LOST);
        return true;
    }
    return false;
}
