#include "daemon/supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <event2/event.h>
#include <weft/log.h>

#include "context/time.h"
#include "daemon/config/suggest.h"
#include "daemon/config/text.h"
#include "daemon/process.h"
#include "daemon/supervisor/crash_report.h"
#include "daemon/supervisor/supervisor_report.h"
#include "queue/message/rejection.h"

/* Without a supervisor of its own (systemd), weftd gives up when Redis has not answered for so long at the start. */
#define REDIS_START_LIMIT_US (5 * INT64_C(1000000))

/* At the end, for the jobs of workers that were killed to be given back. */
#define RECLAIM_LIMIT_US (2 * INT64_C(1000000))

#define TICK_US (100 * 1000)

/* ---- Stopping ---- */

/* The jobs of workers that were killed are given back first, but a Redis that is away keeps nobody from stopping. */
static void end_if_stopped(struct supervisor *supervisor)
{
    if (supervisor->state != SUPERVISOR_STOPPING || worker_pool_running(&supervisor->pool) > 0)
        return;
    if (!worker_pool_has_remains(&supervisor->pool) ||
        time_steady_us() - supervisor->workers_gone_us > RECLAIM_LIMIT_US)
        (void)event_base_loopexit(supervisor->base, NULL);
}

static void begin_stop(struct supervisor *supervisor, int exit_status)
{
    supervisor->state = SUPERVISOR_STOPPING;
    supervisor->exit_status = exit_status;
    supervisor->workers_gone_us = time_steady_us();
    reload_cancel(&supervisor->reload);
    worker_pool_stop(&supervisor->pool);
    supervisor_tell_manager(supervisor);
    end_if_stopped(supervisor);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    bool again = supervisor->state == SUPERVISOR_STOPPING;

    (void)what;
    if (!again) {
        weft_log_with(WEFT_INFO, "weftd stopping", WEFT_TEXT("signal", sigabbrev_np((int)number)),
                      WEFT_INT("workers", worker_pool_running(&supervisor->pool)));
        begin_stop(supervisor, EX_OK);
    }
    /* The second time: at once. So does the terminal's own signal for that. */
    if (again || number == SIGQUIT)
        worker_pool_hurry(&supervisor->pool);
}

/* ---- Children of all kinds ---- */

static void worker_ended(struct worker_process *worker, bool expected, void *user)
{
    struct supervisor *supervisor = user;
    bool clean = WIFEXITED(worker->status) && WEXITSTATUS(worker->status) == EX_OK;
    bool crashed = !expected || !clean;
    bool out_of_memory = crashed && oom_has_killed(&supervisor->oom);

    supervisor->workers_gone_us = time_steady_us();
    /* A handler may have called exit(0), so a good status alone says nothing. */
    if (crashed)
        supervisor->pool.totals.jobs_failed += crash_report_write(worker, out_of_memory);
    else if (maintenance_reclaim(worker->generation->maintenance, worker->consumer) < 0)
        weft_error("what a worker may have left could not be given back: out of memory");
    metrics_note_end(&supervisor->metrics, worker, crashed, out_of_memory);
    if (!expected)
        reload_worker_ended(&supervisor->reload, worker);
    /* A plugin that cannot start now will not in a second either. */
    if (WIFEXITED(worker->status) && WEXITSTATUS(worker->status) == EX_CONFIG && !supervisor->announced &&
        supervisor->state == SUPERVISOR_RUNNING)
        begin_stop(supervisor, EX_CONFIG);
}

static const struct worker_pool_events worker_pool_events = {.ended = worker_ended};

static void on_child_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    int status;

    (void)number;
    (void)what;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG))
        if (!redis_server_child_ended(supervisor->redis, pid, status) &&
            !reload_child_ended(&supervisor->reload, pid, status))
            (void)worker_pool_process_ended(&supervisor->pool, pid, status);
    end_if_stopped(supervisor);
}

static void on_reload_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    (void)number;
    (void)what;
    if (supervisor->announced && supervisor->state == SUPERVISOR_RUNNING)
        reload_begin(&supervisor->reload);
    else if (supervisor->state != SUPERVISOR_STOPPING)
        supervisor->reload.again = true;
    supervisor_tell_manager(supervisor);
}

static void on_reopen_signal(evutil_socket_t number, short what, void *arg)
{
    const struct supervisor *supervisor = arg;

    (void)number;
    (void)what;
    log_output_reopen(NULL);
    worker_pool_reopen_logs(&supervisor->pool);
    weft_info("log files opened anew");
}

/* ---- Redis ---- */

static void redis_ready(void *user)
{
    struct generation *generation = user;
    struct supervisor *supervisor = generation->owner;

    if (supervisor->state != SUPERVISOR_STARTING) {
        reload_redis_ready(&supervisor->reload, generation);
        return;
    }
    supervisor->state = SUPERVISOR_RUNNING;
    if (worker_pool_start(&supervisor->pool, generation) < 0)
        weft_error("the workers could not be started: out of memory");
    /* It is the worker pool's now, and goes when a reload has replaced it. */
    supervisor->first = generation_unref(supervisor->first);
}

static void redis_state(const char *problem, void *user)
{
    struct generation *generation = user;
    struct supervisor *supervisor = generation->owner;
    bool starting = generation == supervisor->first;

    (void)snprintf(generation->redis_problem, sizeof(generation->redis_problem), "%s", problem ? problem : "");
    /* An embedded Redis takes a moment; whether it was too long is for the tick to say. */
    if (problem && (generation == supervisor->pool.generation || (starting && !supervisor->redis)))
        health_report_say(&supervisor->health_report, problem);
}

/* Jobs go on, so this is no reason to be unready. */
static void redis_memory_full(bool full, void *user)
{
    struct generation *generation = user;

    generation->redis_full = full;
    if (full)
        weft_warn("Redis has no memory left (maxmemory): it takes no new jobs; those that it has are run");
    else
        weft_info("Redis has memory again and takes new jobs");
}

static void reclaimed(const char *queue, const char *consumer, long count, enum reclaim_reason reason, void *user)
{
    (void)user;
    weft_log_with(WEFT_WARN,
                  reason == RECLAIM_EXPIRED ? "jobs whose worker's lease is over are back in their queue"
                                            : "jobs of a dead worker are back in their queue",
                  WEFT_TEXT("queue", queue), WEFT_TEXT("consumer", consumer), WEFT_INT("jobs", count));
}

static void sampled(const struct queue_sample *samples, int64_t round_trip_us, void *user)
{
    struct generation *generation = user;

    metrics_note_samples(&((struct supervisor *)generation->owner)->metrics, generation, samples, round_trip_us);
}

/* In the words of who enqueued there: which stream it is, and where the jobs should have gone. */
static void unread(const struct unread_stream *stream, void *user)
{
    const struct config *config = ((struct generation *)user)->config;
    struct rejection_quote key = rejection_quote(stream->key, stream->key_size);
    const char *meant = config_suggest_queue(config, stream->key, stream->key_size);
    struct config_text text = {0};
    struct time_text clock = {0};

    config_text_add(&text, "no node reads the stream %s, so its jobs wait for ever", key.text);
    if (stream->read_ms >= 0)
        config_text_add(&text, "; one did until %s", time_format_ms(&clock, stream->read_ms));
    if (meant)
        config_text_add(&text, "; did you mean \"%s:{%s}\"?", config->redis.prefix, meant);
    else if (stream->read_ms < 0)
        config_text_add(&text, "; the queue has to be in the \"queues\" of a node");
    weft_log_with(WEFT_WARN, text.text, WEFT_INT("jobs", stream->jobs), WEFT_INT("delayed", stream->delayed));
}

static const struct maintenance_events maintenance_events = {
    .ready = redis_ready,
    .redis_state = redis_state,
    .memory_full = redis_memory_full,
    .reclaimed = reclaimed,
    .sampled = sampled,
    .unread = unread,
};

/* ---- Time ---- */

static void announce(struct supervisor *supervisor)
{
    const struct config *config = supervisor->pool.generation->config;

    supervisor->announced = true;
    weft_log_with(WEFT_INFO, "weftd ready", WEFT_INT("workers", config->workers),
                  WEFT_INT("queues", config->queue_count), WEFT_INT("job_types", config->job_count),
                  WEFT_TEXT("redis", config->redis.socket_path ? config->redis.socket_path : config->redis.host),
                  WEFT_TEXT("version", WEFT_VERSION));
    if (supervisor->reload.again) {
        supervisor->reload.again = false;
        reload_begin(&supervisor->reload);
    }
}

/* The start takes longer than it should. */
static void complain_of_redis(struct supervisor *supervisor, const char *problem)
{
    /* Our own, for as long as it lives: the more data it has to read, the longer it takes. */
    if (redis_server_endures(supervisor->redis)) {
        if (*problem)
            health_report_say(&supervisor->health_report, problem);
        return;
    }
    /* systemd knows when it has waited long enough, and shows what weftd says meanwhile. */
    if (getenv("NOTIFY_SOCKET"))
        return;
    weft_log_with(WEFT_ERROR, "Redis is unavailable; weftd ends", WEFT_TEXT("error", problem));
    begin_stop(supervisor, EX_UNAVAILABLE);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    bool overdue = time_steady_us() - supervisor->started_us > REDIS_START_LIMIT_US;

    (void)fd;
    (void)what;
    if (supervisor->state == SUPERVISOR_STARTING && overdue)
        complain_of_redis(supervisor, supervisor->first->redis_problem);
    watchdog_check(&supervisor->watchdog, &supervisor->pool);
    worker_pool_tend(&supervisor->pool);
    end_if_stopped(supervisor);
    health_report_check(&supervisor->health_report, &supervisor->pool);
    if (supervisor->pool.generation && supervisor->pool.generation->web)
        metrics_tend(&supervisor->metrics, &supervisor->pool);
    /* Also with nothing new to write: an output that was full may have room again. */
    log_output_tend();
    if (supervisor->state == SUPERVISOR_RUNNING) {
        reload_tend(&supervisor->reload);
        if (!supervisor->announced && worker_pool_is_complete(&supervisor->pool))
            announce(supervisor);
    }
    supervisor_tell_manager(supervisor);
}

/* ---- The process ---- */

static int start_events(struct supervisor *supervisor)
{
    static const struct {
        int number;
        event_callback_fn callback;
    } signals[SIGNALS] = {
        {SIGTERM, on_stop_signal},  {SIGINT, on_stop_signal},   {SIGQUIT, on_stop_signal},
        {SIGHUP, on_reload_signal}, {SIGCHLD, on_child_signal}, {SIGUSR1, on_reopen_signal},
    };

    for (size_t i = 0; i < SIGNALS; i++) {
        supervisor->signal_events[i] =
            evsignal_new(supervisor->base, signals[i].number, signals[i].callback, supervisor);
        if (!supervisor->signal_events[i] || event_add(supervisor->signal_events[i], NULL) < 0)
            return -ENOMEM;
    }
    supervisor->tick_event = event_new(supervisor->base, -1, EV_PERSIST, on_tick, supervisor);
    if (!supervisor->tick_event || event_add(supervisor->tick_event, &(struct timeval){.tv_usec = TICK_US}) < 0)
        return -ENOMEM;
    /* main() holds them back until there is somebody to obey them. */
    process_mask_signals(SIG_SETMASK, (const int[]){0});
    return 0;
}

static int start_redis(struct supervisor *supervisor)
{
    const struct config *config = supervisor->first->config;
    char *message;

    if (config->redis.kind != CONFIG_REDIS_EMBEDDED)
        return 0;
    int r = redis_server_new(config, &supervisor->redis, &message);
    if (r < 0) {
        weft_error("%s", message ? message : strerror(-r));
        free(message);
        supervisor->exit_status = EX_UNAVAILABLE;
    }
    return r;
}

static int start_web(struct supervisor *supervisor)
{
    struct generation *first = supervisor->first;
    char *message;

    supervisor->web = (struct web_setup){.base = supervisor->base, .pages = &supervisor_pages, .user = supervisor};
    supervisor->web.given_count = service_take_sockets(supervisor->web.given, WEB_SOCKETS_MAX);
    int r = web_new(&supervisor->web, first->config->http.listen, NULL, &first->web, &message);
    if (r < 0) {
        weft_error("%s", message ? message : strerror(-r));
        free(message);
        supervisor->exit_status = EX_CANTCREAT;
    }
    return r;
}

static int start(struct supervisor *supervisor, struct scoreboard_slot *slot)
{
    supervisor->slot = slot;
    supervisor->base = event_base_new();
    if (!supervisor->base)
        return -ENOMEM;
    supervisor->pool = (struct worker_pool){
        .base = supervisor->base, .run = supervisor->run_worker, .events = &worker_pool_events, .user = supervisor};
    supervisor->reload = (struct reload){.pool = &supervisor->pool,
                                         .slot = slot,
                                         .maintenance_events = &maintenance_events,
                                         .owner = supervisor,
                                         .web = &supervisor->web};
    supervisor->started_us = time_steady_us();
    oom_init(&supervisor->oom);
    int r = start_events(supervisor);
    if (r == 0)
        r = start_web(supervisor);
    if (r == 0)
        r = start_redis(supervisor);
    return r < 0 ? r : generation_connect(supervisor->first, supervisor->base, &maintenance_events);
}

/* The generations go last: the log's output, which is one of theirs, is used until then. */
static void finish(struct supervisor *supervisor)
{
    /* What comes too late is not to end weftd otherwise than well. */
    process_mask_signals(SIG_BLOCK, (const int[]){SIGHUP, SIGUSR1, 0});
    for (size_t i = 0; i < SIGNALS; i++)
        if (supervisor->signal_events[i])
            event_free(supervisor->signal_events[i]);
    if (supervisor->tick_event)
        event_free(supervisor->tick_event);
    supervisor->redis = redis_server_free(supervisor->redis);
    worker_pool_done(&supervisor->pool);
    supervisor->first = generation_unref(supervisor->first);
    metrics_done(&supervisor->metrics);
    if (supervisor->base)
        event_base_free(supervisor->base);
}

int supervisor_run(struct config *config, struct scoreboard_slot *slot, struct log_output *output,
                   worker_run_fn *run_worker)
{
    struct supervisor supervisor = {.run_worker = run_worker, .exit_status = EX_OK};
    int r = generation_new(config, output, &supervisor, &supervisor.first);

    if (r < 0) {
        (void)log_output_free(output);
        (void)config_free(config);
        return EX_OSERR;
    }
    r = start(&supervisor, slot);
    if (r == 0) {
        (void)event_base_dispatch(supervisor.base);
        const struct worker_pool_totals *totals = &supervisor.pool.totals;
        weft_log_with(WEFT_INFO, "weftd stopped", WEFT_INT("jobs_done", totals->jobs_done),
                      WEFT_INT("jobs_failed", totals->jobs_failed), WEFT_INT("live_contexts", totals->live_contexts),
                      WEFT_INT("live_tasks", totals->live_tasks), WEFT_INT("live_jobs", totals->live_jobs));
    } else if (supervisor.exit_status == EX_OK) {
        weft_error("weftd could not start: %s", strerror(-r));
        supervisor.exit_status = EX_OSERR;
    }
    finish(&supervisor);
    return supervisor.exit_status;
}
