#include "daemon/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <event2/event.h>

#include "context/task.h"
#include "daemon/job_types.h"
#include "daemon/lifecycle.h"
#include "handlers/runner.h"
#include "queue/client.h"
#include "queue/clock.h"

/* Jobs that run for longer than this are shown as running in their report. */
enum { SHOW_AFTER_MS = 200 };

/* How long interrupted tasks have to clean up before the process ends all the same. */
enum { CLEANUP_MS = 2000 };

/* A job for which there was no memory is tried again after this. */
enum { POSTPONE_MS = 1000 };

enum worker_state { WORKER_RUNNING, WORKER_DRAINING, WORKER_INTERRUPTED };

struct worker {
    const struct worker_options *options;
    struct scoreboard_slot *slot;
    enum worker_state state;
    bool plugins_failed;
    bool drained; /* the queues have nothing more of ours */
    struct event_base *base;
    struct weft_loop *loop;
    struct queue_client *client;
    struct registry registry;
    struct job_types types;
    struct runner runner;
    struct event *stop_event;
    struct event *quit_event;
    struct event *show_event;
    struct event *limit_event;
};

/* ---- Ending ---- */

static void stop_if_finished(struct worker *worker)
{
    if (worker->state != WORKER_RUNNING && worker->drained && weft_tasks_alive() == 0 &&
        queue_client_is_settled(worker->client))
        (void)event_base_loopexit(worker->base, NULL);
}

static void set_limit(struct worker *worker, int64_t limit_ms)
{
    (void)event_add(worker->limit_event,
                    &(struct timeval){.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000});
}

static void begin_drain(struct worker *worker)
{
    if (worker->state != WORKER_RUNNING)
        return;
    worker->state = WORKER_DRAINING;
    set_limit(worker, worker->options->config->shutdown_timeout_ms);
    queue_client_stop(worker->client);
    stop_if_finished(worker);
}

static void begin_interrupt(struct worker *worker)
{
    begin_drain(worker);
    if (worker->state != WORKER_DRAINING)
        return;
    worker->state = WORKER_INTERRUPTED;
    weft_log_with(WEFT_WARN, "interrupting what still runs", WEFT_INT("tasks", weft_tasks_alive()));
    runner_shut_down(&worker->runner);
    set_limit(worker, CLEANUP_MS);
}

static void limit_is_over(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    (void)fd;
    (void)what;
    if (worker->state == WORKER_DRAINING) {
        begin_interrupt(worker);
        return;
    }
    weft_log_with(WEFT_ERROR, "giving up on what does not end; its jobs will be run again",
                  WEFT_INT("tasks", weft_tasks_alive()));
    (void)event_base_loopexit(worker->base, NULL);
}

/* SIGTERM lets what runs finish; SIGQUIT interrupts it. Two signals, since one sent twice may arrive once. */
static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what;
    if (number == SIGQUIT)
        begin_interrupt(arg);
    else
        begin_drain(arg);
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

static void postpone(struct worker *worker, struct job *record, int error)
{
    struct settlement settlement = {.job = record, .outcome = JOB_DELAYED, .due_ms = clock_now_ms() + POSTPONE_MS};

    weft_log_with(WEFT_WARN, "no room to run a job, which is tried again in a second", WEFT_TEXT("job", record->id),
                  WEFT_TEXT("error", strerror(-error)));
    check_kept(queue_client_settle(worker->client, &settlement));
    (void)job_free(record);
    queue_client_add_room(worker->client, 1);
}

static void take_job(struct job *record, void *user)
{
    struct worker *worker = user;
    int r = runner_start(&worker->runner, record, job_types_find(&worker->types, record->type));

    if (r < 0)
        postpone(worker, record, r);
    else
        atomic_fetch_add_explicit(&worker->slot->in_flight, 1, memory_order_relaxed);
}

static bool type_known(const char *type, void *user)
{
    const struct worker *worker = user;

    return job_types_find(&worker->types, type) != NULL;
}

static void message_rejected(const struct queue_rejection *rejection, void *user)
{
    struct worker *worker = user;

    lifecycle_rejected(rejection);
    atomic_fetch_add_explicit(&worker->slot->jobs_failed, 1, memory_order_relaxed);
}

static void redis_state(const char *problem, void *user)
{
    struct worker *worker = user;

    scoreboard_note_redis(worker->slot, problem);
}

static void drained(void *user)
{
    struct worker *worker = user;

    worker->drained = true;
    stop_if_finished(worker);
}

static const struct queue_events queue_events = {
    .job = take_job,
    .type_known = type_known,
    .rejected = message_rejected,
    .redis_state = redis_state,
    .drained = drained,
};

/* ---- From the jobs ---- */

static void job_started(struct weft_job *job, void *user)
{
    (void)user;
    lifecycle_started(job);
}

static void job_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    struct worker *worker = user;
    struct settlement settlement = settlement_of(job, outcome);

    lifecycle_ended(outcome);
    check_kept(queue_client_settle(worker->client, &settlement));
    queue_client_add_room(worker->client, 1);
    atomic_fetch_sub_explicit(&worker->slot->in_flight, 1, memory_order_relaxed);
    if (outcome->outcome == JOB_DONE)
        atomic_fetch_add_explicit(&worker->slot->jobs_done, 1, memory_order_relaxed);
    if (outcome->outcome == JOB_DEAD)
        atomic_fetch_add_explicit(&worker->slot->jobs_failed, 1, memory_order_relaxed);
}

static void subtask_started(struct weft_job *job, struct weft_task *task, void *user)
{
    (void)job;
    (void)task;
    (void)user;
    lifecycle_subtask_started();
}

static void subtask_ended(struct weft_job *job, struct weft_task *task, int result, void *user)
{
    (void)job;
    (void)task;
    (void)user;
    lifecycle_subtask_ended(result);
}

static void late_subtasks(struct weft_job *job, unsigned subtasks, unsigned failed, void *user)
{
    struct worker *worker = user;

    check_kept(queue_client_add_subtasks(worker->client, job->record, subtasks, failed));
}

static void job_progressed(struct weft_job *job, void *user)
{
    (void)user;
    job->shown = false;
}

static int enqueue(const char *queue, const struct job_field *fields, size_t count,
                   void (*done)(int result, const char *text, void *arg), void *arg, void *user)
{
    struct worker *worker = user;
    struct queue_message message = {.queue = queue, .fields = fields, .field_count = count};

    return queue_client_enqueue(worker->client, &message, done, arg);
}

static const struct runner_events runner_events = {
    .started = job_started,
    .ended = job_ended,
    .subtask_started = subtask_started,
    .subtask_ended = subtask_ended,
    .late_subtasks = late_subtasks,
    .progressed = job_progressed,
    .enqueue = enqueue,
};

/* A few times a second: long jobs are shown in their reports, with the progress that they made. */
static void show_running(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    int64_t now_us = timer_now_us();

    (void)fd;
    (void)what;
    for (struct weft_job *job = worker->runner.running; job; job = job->next) {
        if (job->shown || job->started_us == 0 || now_us - job->started_us < SHOW_AFTER_MS * 1000)
            continue;
        check_kept(queue_client_report_running(worker->client, job->record, job->started_ms, job->progress));
        job->shown = true;
    }
    stop_if_finished(worker);
    log_output_flush(worker->options->output);
}

/* ---- The process ---- */

static int start_plugins(struct worker *worker)
{
    char *message;
    int r = job_types_load(worker->options->config, &worker->registry, &worker->types, &message);

    if (r < 0) {
        weft_error("%s", message ? message : strerror(-r));
        free(message);
        return r;
    }
    const char *plugin;
    r = registry_start(&worker->registry, &plugin);
    if (r < 0)
        weft_error("the plugin \"%s\" could not start: %s", plugin, strerror(-r));
    return r;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    /* Without it timers are late by up to a millisecond. */
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    return base;
}

/* Those that the fork had held back until now. */
static void unblock_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int start_events(struct worker *worker)
{
    worker->stop_event = evsignal_new(worker->base, SIGTERM, on_stop_signal, worker);
    worker->quit_event = evsignal_new(worker->base, SIGQUIT, on_stop_signal, worker);
    worker->show_event = event_new(worker->base, -1, EV_PERSIST, show_running, worker);
    worker->limit_event = evtimer_new(worker->base, limit_is_over, worker);
    if (!worker->stop_event || !worker->quit_event || !worker->show_event || !worker->limit_event)
        return -ENOMEM;
    (void)event_add(worker->stop_event, NULL);
    (void)event_add(worker->quit_event, NULL);
    (void)event_add(worker->show_event, &(struct timeval){.tv_usec = SHOW_AFTER_MS * 1000});
    unblock_signals();
    return 0;
}

static int start(struct worker *worker)
{
    const struct worker_options *options = worker->options;

    worker->base = new_base();
    int r = worker->base ? log_output_move(options->output, options->slot, worker->base) : -ENOMEM;
    if (r == 0)
        r = weft_loop_new(worker->base, &worker->loop);
    if (r == 0) {
        r = start_plugins(worker);
        worker->plugins_failed = r < 0;
    }
    if (r == 0)
        r = start_events(worker);
    if (r < 0)
        return r;
    runner_init(&worker->runner, worker->loop, &runner_events, worker);
    r = queue_client_new(worker->base, &options->config->queue_options, options->consumer, &queue_events, worker,
                         &worker->client);
    if (r < 0)
        return r;
    queue_client_add_room(worker->client, options->config->concurrency);
    atomic_store(&worker->slot->ready, 1);
    return 0;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void finish(struct worker *worker)
{
    registry_stop(&worker->registry);
    worker->client = queue_client_free(worker->client);
    /* Tasks that did not end are left where they are: their stacks cannot be unwound from outside. */
    if (weft_tasks_alive() == 0)
        worker->loop = weft_loop_free(worker->loop);
    atomic_store(&worker->slot->live_contexts, weft_contexts_alive());
    atomic_store(&worker->slot->live_tasks, weft_tasks_alive());
    atomic_store(&worker->slot->live_jobs, runner_jobs_alive());
    job_types_done(&worker->types);
    registry_done(&worker->registry);
    free_event(worker->stop_event);
    free_event(worker->quit_event);
    free_event(worker->show_event);
    free_event(worker->limit_event);
    (void)log_output_free(worker->options->output);
    if (worker->base && weft_tasks_alive() == 0)
        event_base_free(worker->base);
}

int worker_run(const struct worker_options *options)
{
    struct worker worker = {.options = options, .slot = options->slot};
    int r = start(&worker);

    if (r == 0)
        (void)event_base_dispatch(worker.base);
    finish(&worker);
    return r == 0 ? EX_OK : worker.plugins_failed ? EX_CONFIG : EX_SOFTWARE;
}
