#include "daemon/worker/dispatch.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/log/job_log.h"
#include "context/task/task.h"
#include "context/time.h"
#include "daemon/worker/lifecycle.h"
#include "daemon/worker/snapshot.h"

/* Jobs that run for longer than this are shown as running in their report. */
#define SHOW_AFTER_US (200 * INT64_C(1000))

/* A job for which there was no memory is tried again after this. */
enum { POSTPONE_MS = 1000 };

/* So much work of a type with a limit may wait here, going by how long its jobs take; of a type that has not run yet,
 * that is a guess. */
enum { WAITING_US = 1000 * 1000, GUESS_US = 100 * 1000 };

/* What would wait for longer goes back to its queue for at least, and at the most, so long; or for as long as it has
 * been there already. */
enum { SEND_BACK_MIN_MS = 20, SEND_BACK_MAX_MS = 10 * 1000 };

/* A job that was recalled and has not come by then will not come to this worker. */
enum { RECALL_US = 600 * 1000 };

/* ---- Counting ---- */

/* Jobs come several of a queue at a time. */
static size_t find_queue(const struct dispatch *dispatch, const char *queue)
{
    static _Thread_local size_t last;

    if (last >= dispatch->tally->config->queue_count || strcmp(dispatch->tally->config->queues[last].name, queue) != 0)
        last = tally_find_queue(dispatch->tally, queue);
    return last;
}

static struct tally_cell *cell_named(const struct dispatch *dispatch, const char *queue, const char *type)
{
    return tally_cell(dispatch->tally, find_queue(dispatch, queue), tally_find_type(dispatch->tally, type));
}

static struct tally_cell *cell_of(const struct dispatch *dispatch, const struct weft_job *job)
{
    return tally_cell(dispatch->tally, find_queue(dispatch, job->record->queue), job->type->number);
}

/* The ID of an entry says when it came into the stream, which is when the job was ready. */
static void count_start(const struct dispatch *dispatch, const struct weft_job *job)
{
    struct tally_cell *cell = cell_of(dispatch, job);
    size_t queue = find_queue(dispatch, job->record->queue);

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

/* ---- Settling ---- */

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
        .due_ms = outcome->outcome == JOB_RETRY ? time_unix_ms() + outcome->retry_ms : 0,
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
    struct settlement settlement = {.job = record, .outcome = JOB_DELAYED, .due_ms = time_unix_ms() + POSTPONE_MS};

    weft_log_with(WEFT_WARN, "no room to run a job, which is tried again in a second", WEFT_TEXT("job", record->id),
                  WEFT_TEXT("error", strerror(-error)));
    check_kept(queue_client_settle(dispatch->client, &settlement));
    (void)job_free(record);
}

/* ---- Limits ---- */

static struct type_limit *limit_of(const struct dispatch *dispatch, const struct job_type *type)
{
    return &dispatch->limits[type->number];
}

static bool is_type_full(const struct type_limit *limit)
{
    return limit->concurrency > 0 && limit->running >= limit->concurrency;
}

static bool may_start(const struct dispatch *dispatch, const struct type_limit *limit)
{
    return dispatch->running < dispatch->concurrency && !is_type_full(limit);
}

/* How long a job of a type is likely to run: not for less time than has passed since any of them has ended. */
static int64_t expect_us(const struct type_limit *limit)
{
    int64_t average_us = limit->average_us > 0 ? limit->average_us : GUESS_US;
    int64_t still_us = limit->running > 0 ? time_steady_us() - limit->progress_us : 0;

    return still_us > average_us ? still_us : average_us;
}

/* How many jobs of a type may wait here. */
static unsigned waiting_max(const struct type_limit *limit)
{
    int64_t soon = limit->concurrency * (int64_t)WAITING_US / expect_us(limit);

    return soon > limit->concurrency ? (unsigned)(soon < INT_MAX ? soon : INT_MAX) : limit->concurrency;
}

/* Those that wait leave half of the worker to others. */
static size_t count_waiting_room(const struct dispatch *dispatch, const struct type_limit *limit)
{
    size_t of_type = waiting_max(limit), of_all = dispatch->concurrency / 2;

    of_type -= of_type < limit->waiting ? of_type : limit->waiting;
    of_all -= of_all < dispatch->waiting.count ? of_all : dispatch->waiting.count;
    return of_type < of_all ? of_type : of_all;
}

/* How long it would have to wait here goes by how many were sent back before it: they return as fast as they can be
 * run. Beyond some time that is guesswork, and they return a bit at a time; those that have been waiting for long more
 * seldom, so that each is sent back a few times only. */
static int64_t choose_due_us(struct dispatch *dispatch, const struct job *record, struct type_limit *limit)
{
    int64_t now_ms = time_unix_ms(), now_us = now_ms * 1000, age_ms = now_ms - record->enqueued_ms;
    int64_t longest_ms = age_ms > SEND_BACK_MAX_MS ? age_ms : SEND_BACK_MAX_MS;
    int64_t earliest_us = now_us + SEND_BACK_MIN_MS * INT64_C(1000), latest_us = now_us + longest_ms * 1000;
    int64_t due_us = limit->due_us + expect_us(limit) / limit->concurrency + 1;

    if (due_us > latest_us)
        return latest_us - (int64_t)(runner_random(&dispatch->runner) * (double)longest_ms * 500);
    limit->due_us = due_us > earliest_us ? due_us : earliest_us;
    return limit->due_us;
}

/* It has not begun: no attempt, no line, and its report says what is true, that it is delayed. */
static void send_back(struct dispatch *dispatch, struct job *record, struct type_limit *limit)
{
    struct settlement settlement = {
        .job = record, .outcome = JOB_DELAYED, .due_ms = choose_due_us(dispatch, record, limit) / 1000};
    const char *queue = dispatch->tally->config->queues[find_queue(dispatch, record->queue)].name;
    int64_t now_ms = time_unix_ms();

    job_log_debug(record, "sent back to queue %s for %lld ms: too many jobs of its type wait here", record->queue,
                  (long long)(settlement.due_ms - now_ms));
    check_kept(queue_client_settle(dispatch->client, &settlement));
    sent_back_add(&limit->sent_back, record, queue, now_ms, settlement.due_ms);
    (void)job_free(record);
}

/* Has jobs come again before their time, where those that wait here will not last for long: that they do was guessed
 * from what ran before. Other workers may take them as well. */
static void recall_sent_back(struct dispatch *dispatch, struct type_limit *limit)
{
    struct sent_back_job *job;

    if (limit->sent_back.count == 0)
        return;
    int64_t now_ms = time_unix_ms(), now_us = time_steady_us();
    size_t room = count_waiting_room(dispatch, limit);
    if (now_us - limit->recalled_us >= RECALL_US)
        limit->recalled = 0;
    if (room <= limit->recalled || 2 * (limit->waiting + (size_t)limit->recalled) >= limit->waiting + room)
        return;
    room -= limit->recalled;
    while (room > 0 && (job = sent_back_take(&limit->sent_back, now_ms)) != NULL) {
        if (queue_client_hasten(dispatch->client, job->queue, job->id, job->entry, job->due_ms) == 0) {
            limit->recalled++;
            limit->recalled_us = now_us;
            room--;
        }
        free(job);
    }
    if (limit->sent_back.count == 0)
        limit->due_us = 0;
}

static void start_job(struct dispatch *dispatch, struct job *record, const struct job_type *type)
{
    int r = runner_start(&dispatch->runner, record, type);

    if (r < 0) {
        queue_client_note_started(dispatch->client);
        postpone(dispatch, record, r);
        return;
    }
    struct type_limit *limit = limit_of(dispatch, type);
    if (limit->concurrency > 0 && limit->running == 0)
        limit->progress_us = time_steady_us();
    limit->running++;
    dispatch->running++;
    atomic_fetch_add_explicit(&dispatch->slot->in_flight, 1, memory_order_relaxed);
}

/* What is read next need not wait until it begins. */
static void put_aside(struct dispatch *dispatch, struct job *record, const struct job_type *type)
{
    int r = waiting_add(&dispatch->waiting, record, type);

    job_log_debug(record, "waiting for its turn: as many jobs as may already run");
    queue_client_note_started(dispatch->client);
    if (r < 0)
        postpone(dispatch, record, r);
    else
        limit_of(dispatch, type)->waiting++;
}

static struct job *take_from_waiting(struct dispatch *dispatch, struct waiting_job *job)
{
    limit_of(dispatch, job->type)->waiting--;
    return waiting_take(&dispatch->waiting, job);
}

static void take_job(struct job *record, void *user)
{
    struct dispatch *dispatch = user;
    const struct job_type *type = job_types_find(dispatch->types, record->type);
    struct type_limit *limit = limit_of(dispatch, type);

    job_log_debug(record, "taken from queue %s, entry %s", record->queue, record->entry);
    limit->recalled -= limit->recalled > 0;
    if (limit->waiting == 0 && may_start(dispatch, limit)) {
        start_job(dispatch, record, type);
    } else if (!is_type_full(limit) || count_waiting_room(dispatch, limit) > 0) {
        put_aside(dispatch, record, type);
    } else {
        queue_client_note_started(dispatch->client);
        send_back(dispatch, record, limit);
    }
}

/* At the root: what begins here is not started by the job that has ended. */
static void start_waiting(evutil_socket_t fd, short what, void *arg)
{
    struct dispatch *dispatch = arg;
    struct waiting_job *job = dispatch->waiting.first;

    (void)fd;
    (void)what;
    while (job && dispatch->running < dispatch->concurrency) {
        struct waiting_job *next = job->next;
        const struct job_type *type = job->type;

        if (may_start(dispatch, limit_of(dispatch, type))) {
            queue_client_note_starting(dispatch->client);
            start_job(dispatch, take_from_waiting(dispatch, job), type);
        }
        job = next;
    }
}

/* A place is free, of this type and of the worker's. */
static void note_place(struct dispatch *dispatch, struct type_limit *limit, int64_t duration_us)
{
    bool was_crowded = dispatch->running >= dispatch->concurrency;

    dispatch->running--;
    limit->running--;
    if (limit->concurrency > 0)
        limit->progress_us = time_steady_us();
    /* It falls faster than it rises: jobs that were sent back for too long leave their place idle, and those that come
     * too early only come again. */
    int64_t change_us = duration_us - limit->average_us;
    limit->average_us = limit->average_us == 0 ? duration_us : limit->average_us + change_us / (change_us < 0 ? 2 : 8);
    if (limit->waiting > 0 || (was_crowded && dispatch->waiting.count > 0))
        event_active(dispatch->turn, EV_TIMEOUT, 0);
    recall_sent_back(dispatch, limit);
}

/* Jobs take longer than it seemed when they were put aside: others may have them. */
static void thin_out_waiting(struct dispatch *dispatch)
{
    struct waiting_job *job = dispatch->waiting.last;

    while (job) {
        struct waiting_job *previous = job->previous;
        struct type_limit *limit = limit_of(dispatch, job->type);

        if (is_type_full(limit) && limit->waiting > waiting_max(limit))
            send_back(dispatch, take_from_waiting(dispatch, job), limit);
        job = previous;
    }
}

static void return_waiting(struct dispatch *dispatch)
{
    while (dispatch->waiting.first) {
        struct job *record = take_from_waiting(dispatch, dispatch->waiting.first);
        struct settlement settlement = {.job = record, .outcome = JOB_RETURNED};

        job_log_debug(record, "sent back to queue %s: this worker ends", record->queue);
        check_kept(queue_client_settle(dispatch->client, &settlement));
        (void)job_free(record);
    }
}

/* ---- From the queues ---- */

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

static void job_discarded(const struct job *job, void *user)
{
    lifecycle_discarded(job);
    counter_add(&cell_named(user, job->queue, job->type)->outcomes[JOB_CANCELLED], 1);
}

static void job_duplicate(const struct job *job, const char *first, void *user)
{
    lifecycle_duplicate(job, first);
    counter_add(&cell_named(user, job->queue, job->type)->outcomes[JOB_DUPLICATE], 1);
}

static void job_cancelled(const char *queue, const char *id, void *user)
{
    struct dispatch *dispatch = user;
    struct waiting_job *next;

    (void)runner_cancel(&dispatch->runner, queue, id);
    for (struct waiting_job *job = dispatch->waiting.first; job; job = next) {
        struct settlement settlement = {.job = job->record, .outcome = JOB_CANCELLED, .error = "cancelled"};

        next = job->next;
        if (strcmp(job->record->id, id) != 0 || strcmp(job->record->queue, queue) != 0)
            continue;
        job_discarded(job->record, dispatch);
        check_kept(queue_client_settle(dispatch->client, &settlement));
        (void)job_free(take_from_waiting(dispatch, job));
    }
}

/* One that waits has left no trace: it is settled, which has no effect but that the client forgets it. */
static void job_lost(const char *queue, const char *entry, void *user)
{
    struct dispatch *dispatch = user;
    struct waiting_job *job = dispatch->waiting.first;

    if (runner_lose(&dispatch->runner, queue, entry))
        return;
    while (job && (strcmp(job->record->entry, entry) != 0 || strcmp(job->record->queue, queue) != 0))
        job = job->next;
    if (!job)
        return;
    struct settlement settlement = {.job = job->record, .outcome = JOB_RETURNED};
    check_kept(queue_client_settle(dispatch->client, &settlement));
    (void)job_free(take_from_waiting(dispatch, job));
}

/* Whoever gets no answer says so. */
static void inquired(const struct queue_inquiry *inquiry, void *user)
{
    struct dispatch *dispatch = user;
    const struct snapshot_question question = {
        .node = dispatch->node, .queue = inquiry->queue, .id = inquiry->id, .waiting = &dispatch->waiting};
    size_t size;
    char *text = snapshot_take(&dispatch->runner.active_jobs, &question, &size);

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
    .duplicate = job_duplicate,
    .lost = job_lost,
    .inquired = inquired,
    .redis_state = redis_state,
    .drained = drained,
};

/* ---- From the jobs ---- */

/* Others need not wait until there is a thread for it. */
static void job_queued(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    (void)job;
    queue_client_note_started(dispatch->client);
}

/* From here on a crash of the process can be laid at its door. */
static void job_started(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    if (!job->queued)
        queue_client_note_started(dispatch->client);
    job->job_slot = job_slot_take(dispatch->job_slots, job);
    job_slot_start(job->job_slot, job);
    count_start(dispatch, job);
    lifecycle_started(job);
}

static void job_forgotten(struct weft_job *job, void *user)
{
    const struct dispatch *dispatch = user;

    job_log_debug(job->record, "context freed: nothing of the job is left");
    job_slot_drop(dispatch->job_slots, job->job_slot);
}

static void job_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    struct dispatch *dispatch = user;
    struct settlement settlement = settlement_of(job, outcome);

    lifecycle_ended(outcome);
    count_end(dispatch, job, outcome);
    job_slot_end(dispatch->job_slots, job->job_slot);
    check_kept(queue_client_settle(dispatch->client, &settlement));
    weft_debug("outcome added to the next batch for Redis");
    note_place(dispatch, limit_of(dispatch, job->type), outcome->duration_us);
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
    .queued = job_queued,
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
    struct job_slot *job_slot = job->job_slot;
    bool told = job->timeout.place == 0 && job->started_us != 0 && now_us >= attempt_deadline_us(job);

    if (!told || !job_slot)
        return;
    if (job->task->state == TASK_READY)
        job_slot_hear(job_slot, 0);
    else if (atomic_load(&job_slot->heard_us) == 0)
        job_slot_hear(job_slot, now_us);
}

static void show_running(struct dispatch *dispatch)
{
    int64_t now_us = time_steady_us();
    struct weft_job *job;

    LIST_FOREACH (job, &dispatch->runner.running, among_running) {
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

void dispatch_tend(struct dispatch *dispatch)
{
    show_running(dispatch);
    thin_out_waiting(dispatch);
    for (size_t i = 0; i < dispatch->limit_count; i++)
        recall_sent_back(dispatch, &dispatch->limits[i]);
}

/* 0: none. Of a type that blocks no more can run than there are threads: the others wait like those of any type that
 * has a limit, and leave room to the rest. */
static unsigned choose_limit(const struct config *config, const struct config_job *job)
{
    unsigned threads = config->offload.threads;

    return job->blocking && (job->concurrency == 0 || job->concurrency > threads) ? threads : job->concurrency;
}

static int set_limits(struct dispatch *dispatch, const struct config *config)
{
    dispatch->concurrency = config->concurrency;
    dispatch->limits = calloc(config->job_count + 1, sizeof(*dispatch->limits));
    if (!dispatch->limits)
        return -ENOMEM;
    dispatch->limit_count = config->job_count;
    for (size_t i = 0; i < config->job_count; i++)
        dispatch->limits[i].concurrency = choose_limit(config, &config->jobs[i]);
    return 0;
}

int dispatch_start(struct dispatch *dispatch, struct event_base *base, struct weft_loop *loop,
                   const struct config *config, const char *consumer)
{
    dispatch->node = config->node;
    runner_init(&dispatch->runner, loop, &runner_events, dispatch);
    dispatch->turn = event_new(base, -1, 0, start_waiting, dispatch);
    int r = dispatch->turn ? set_limits(dispatch, config) : -ENOMEM;
    if (r == 0)
        r = queue_client_new(base, &config->queue_options, consumer, &queue_events, dispatch, &dispatch->client);
    if (r == 0)
        queue_client_set_capacity(dispatch->client, config->concurrency);
    return r;
}

void dispatch_stop(struct dispatch *dispatch)
{
    return_waiting(dispatch);
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
    while (dispatch->waiting.first)
        (void)job_free(take_from_waiting(dispatch, dispatch->waiting.first));
    if (dispatch->turn)
        event_free(dispatch->turn);
    dispatch->turn = NULL;
    for (size_t i = 0; i < dispatch->limit_count; i++)
        sent_back_done(&dispatch->limits[i].sent_back);
    free(dispatch->limits);
    dispatch->limits = NULL;
    dispatch->limit_count = 0;
}
