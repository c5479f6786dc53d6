#include "daemon/dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/task.h"
#include "daemon/lifecycle.h"
#include "daemon/snapshot.h"
#include "queue/clock.h"

/* Jobs that run for longer than this are shown as running in their report. */
#define SHOW_AFTER_US (200 * INT64_C(1000))

/* A job for which there was no memory is tried again after this. */
enum { POSTPONE_MS = 1000 };

/* ---- Counting ---- */

static struct tally_cell *cell_named(const struct dispatch *dispatch, const char *queue, const char *type)
{
    return tally_cell(dispatch->tally, tally_find_queue(dispatch->tally, queue),
                      tally_find_type(dispatch->tally, type));
}

static struct tally_cell *cell_of(const struct dispatch *dispatch, const struct weft_job *job)
{
    return tally_cell(dispatch->tally, tally_find_queue(dispatch->tally, job->record->queue), job->type->number);
}

/* The ID of an entry says when it came into the stream, which is when the job was ready. */
static void count_start(const struct dispatch *dispatch, const struct weft_job *job)
{
    struct tally_cell *cell = cell_of(dispatch, job);
    size_t queue = tally_find_queue(dispatch->tally, job->record->queue);

    counter_add(&cell->attempts, 1);
    counter_add(&cell->running, 1);
    histogram_add(&dispatch->tally->queues[queue].waits,
                  (job->started_ms - strtoll(job->record->entry, NULL, 10)) * 1000);
}

static void count_end(const struct dispatch *dispatch, const struct weft_job *job,
                      const struct attempt_outcome *outcome)
{
    struct tally_cell *cell = cell_of(dispatch, job);

    counter_add(&cell->outcomes[outcome->outcome], 1);
    counter_add(&cell->running, (uint64_t)-1);
    /* How long it would have taken is not known. */
    if (outcome->outcome != JOB_RETURNED)
        histogram_add(&cell->durations, outcome->duration_us);
}

/* ---- From the queues ---- */

static struct settlement settlement_of(const struct weft_job *job, const struct attempt_outcome *outcome)
{
    return (struct settlement){
        .job = job->record,
        .outcome = outcome->outcome,
        .error = outcome->error,
        .result = job->result,
        .result_size = job->result_size,
        .progress = job->progress,
        .started_ms = job->started_ms,
        .duration_us = outcome->duration_us,
        .due_ms = outcome->outcome == JOB_RETRY ? clock_now_ms() + outcome->retry_ms : 0,
        .charged = outcome->outcome != JOB_RETURNED,
        .subtasks = job->subtasks,
        .subtasks_failed = job->subtasks_failed,
    };
}

/* A settlement that cannot be kept stays undone: the job is still pending in Redis and will be run again. */
static void check_kept(int r)
{
    if (r < 0)
        weft_error("the outcome could not be kept and the job may run again: %s", strerror(-r));
}

static void postpone(struct dispatch *dispatch, struct job *record, int error)
{
    struct settlement settlement = {.job = record, .outcome = JOB_DELAYED, .due_ms = clock_now_ms() + POSTPONE_MS};

    weft_log_with(WEFT_WARN, "no room to run a job, which is tried again in a second", WEFT_TEXT("job", record->id),
                  WEFT_TEXT("error", strerror(-error)));
    check_kept(queue_client_settle(dispatch->client, &settlement));
    (void)job_free(record);
    queue_client_add_room(dispatch->client, 1);
}

static void take_job(struct job *record, void *user)
{
    struct dispatch *dispatch = user;
    int r = runner_start(&dispatch->runner, record, job_types_find(dispatch->types, record->type));

    if (r < 0)
        postpone(dispatch, record, r);
    else
        atomic_fetch_add_explicit(&dispatch->slot->in_flight, 1, memory_order_relaxed);
}

static bool type_known(const char *type, void *user)
{
    const struct dispatch *dispatch = user;

    return job_types_find(dispatch->types, type) != NULL;
}

static void message_rejected(const struct queue_rejection *rejection, void *user)
{
    struct dispatch *dispatch = user;

    lifecycle_rejected(rejection);
    counter_add(&cell_named(dispatch, rejection->queue, rejection->type)->outcomes[JOB_DEAD], 1);
    atomic_fetch_add_explicit(&dispatch->slot->jobs_failed, 1, memory_order_relaxed);
}

static void job_cancelled(const char *queue, const char *id, void *user)
{
    struct dispatch *dispatch = user;

    (void)runner_cancel(&dispatch->runner, queue, id);
}

static void job_discarded(const struct job *job, void *user)
{
    lifecycle_discarded(job);
    counter_add(&cell_named(user, job->queue, job->type)->outcomes[JOB_CANCELLED], 1);
}

static void job_lost(const char *queue, const char *entry, void *user)
{
    struct dispatch *dispatch = user;

    (void)runner_lose(&dispatch->runner, queue, entry);
}

/* Whoever gets no answer says so. */
static void inquired(const struct queue_inquiry *inquiry, void *user)
{
    struct dispatch *dispatch = user;
    const struct snapshot_question question = {.node = dispatch->node, .queue = inquiry->queue, .id = inquiry->id};
    size_t size;
    char *text = snapshot_take(&dispatch->runner.living, &question, &size);

    if (text)
        (void)!queue_client_answer(dispatch->client, inquiry, text, size);
    free(text);
}

static void redis_state(const char *problem, void *user)
{
    struct dispatch *dispatch = user;

    scoreboard_note_redis(dispatch->slot, problem);
}

static void drained(void *user)
{
    struct dispatch *dispatch = user;

    dispatch->drained = true;
    dispatch->settled(dispatch->user);
}

static const struct queue_events queue_events = {
    .job = take_job,
    .type_known = type_known,
    .rejected = message_rejected,
    .cancelled = job_cancelled,
    .discarded = job_discarded,
    .lost = job_lost,
    .inquired = inquired,
    .redis_state = redis_state,
    .drained = drained,
};

/* ---- From the jobs ---- */

/* From here on a crash of the process can be laid at its door. */
static void job_started(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    job->card = card_take(dispatch->cards, job);
    card_start(job->card, job);
    count_start(dispatch, job);
    lifecycle_started(job);
}

static void job_forgotten(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    card_drop(dispatch->cards, job->card);
}

static void job_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    struct dispatch *dispatch = user;
    struct settlement settlement = settlement_of(job, outcome);

    lifecycle_ended(outcome);
    count_end(dispatch, job, outcome);
    card_end(dispatch->cards, job->card);
    check_kept(queue_client_settle(dispatch->client, &settlement));
    queue_client_add_room(dispatch->client, 1);
    atomic_fetch_sub_explicit(&dispatch->slot->in_flight, 1, memory_order_relaxed);
    if (outcome->outcome == JOB_DONE)
        atomic_fetch_add_explicit(&dispatch->slot->jobs_done, 1, memory_order_relaxed);
    if (outcome->outcome == JOB_DEAD)
        atomic_fetch_add_explicit(&dispatch->slot->jobs_failed, 1, memory_order_relaxed);
}

/* The supervisor sees the count, and has this worker replaced: each such call takes a thread and what it holds. */
static void job_stuck(struct weft_job *job, const uintptr_t *frames, size_t frame_count, void *user)
{
    const struct dispatch *dispatch = user;

    (void)job;
    lifecycle_stuck(&dispatch->slot->crash.crash.modules, frames, frame_count);
    atomic_fetch_add(&dispatch->slot->offload_abandoned, 1);
    atomic_fetch_add(&dispatch->slot->offload_abandoned_total, 1);
}

static void job_unstuck(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    (void)job;
    lifecycle_unstuck();
    atomic_fetch_sub(&dispatch->slot->offload_abandoned, 1);
}

static void subtask_started(struct weft_job *job, struct weft_task *task, void *user)
{
    (void)task;
    counter_add(&cell_of(user, job)->subtasks, 1);
    lifecycle_subtask_started();
}

static void subtask_ended(struct weft_job *job, struct weft_task *task, int result, void *user)
{
    (void)task;
    counter_add(&cell_of(user, job)->subtasks_failed, result != 0);
    lifecycle_subtask_ended(result);
}

static void late_subtasks(struct weft_job *job, unsigned subtasks, unsigned failed, void *user)
{
    struct dispatch *dispatch = user;

    check_kept(queue_client_add_subtasks(dispatch->client, job->record, subtasks, failed));
}

static void job_progressed(struct weft_job *job, void *user)
{
    (void)user;
    job->shown = false;
}

static int enqueue(const char *queue, const struct job_field *fields, size_t count,
                   void (*done)(int result, const char *text, void *arg), void *arg, void *user)
{
    struct dispatch *dispatch = user;
    struct queue_message message = {.queue = queue, .fields = fields, .field_count = count};

    return queue_client_enqueue(dispatch->client, &message, done, arg);
}

static const struct runner_events runner_events = {
    .started = job_started,
    .ended = job_ended,
    .stuck = job_stuck,
    .unstuck = job_unstuck,
    .subtask_started = subtask_started,
    .subtask_ended = subtask_ended,
    .late_subtasks = late_subtasks,
    .progressed = job_progressed,
    .enqueue = enqueue,
    .forgotten = job_forgotten,
};

/* ---- For the owner ---- */

/* One whose time-out has been told knows of it unless it still waits for the loop. Whether it did at the last look does
 * not matter: what it waits for now is the loop again. */
static void note_overdue(const struct weft_job *job, int64_t now_us)
{
    struct card *card = job->card;
    bool told = job->timeout.place == 0 && job->started_us != 0 && now_us >= attempt_deadline_us(job);

    if (!told || !card)
        return;
    if (job->task->state == TASK_READY)
        card_hear(card, 0);
    else if (atomic_load(&card->heard_us) == 0)
        card_hear(card, now_us);
}

void dispatch_show_running(struct dispatch *dispatch)
{
    int64_t now_us = time_steady_us();

    for (struct weft_job *job = dispatch->runner.running; job; job = job->next) {
        note_overdue(job, now_us);
        if (job->shown || job->started_us == 0 || now_us - job->started_us < SHOW_AFTER_US)
            continue;
        /* First, since a thread may have more to say meanwhile. */
        job->shown = true;
        char *progress = attempt_copy_progress(job);
        check_kept(queue_client_report_running(dispatch->client, job->record, job->started_ms, progress));
        free(progress);
    }
}

int dispatch_start(struct dispatch *dispatch, struct event_base *base, struct weft_loop *loop,
                   const struct config *config, const char *consumer)
{
    dispatch->node = config->node;
    runner_init(&dispatch->runner, loop, &runner_events, dispatch);
    int r = queue_client_new(base, &config->queue_options, consumer, &queue_events, dispatch, &dispatch->client);

    if (r == 0)
        queue_client_add_room(dispatch->client, config->concurrency);
    return r;
}

void dispatch_stop(struct dispatch *dispatch)
{
    queue_client_stop(dispatch->client);
}

void dispatch_interrupt(struct dispatch *dispatch)
{
    runner_shut_down(&dispatch->runner);
}

long dispatch_count_tasks(const struct dispatch *dispatch)
{
    return weft_tasks_alive() - atomic_load(&dispatch->slot->offload_abandoned);
}

bool dispatch_is_over(const struct dispatch *dispatch)
{
    return dispatch->drained && dispatch_count_tasks(dispatch) == 0 && queue_client_is_settled(dispatch->client);
}

void dispatch_done(struct dispatch *dispatch)
{
    dispatch->client = queue_client_free(dispatch->client);
}
