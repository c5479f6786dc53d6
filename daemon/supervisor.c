#include "daemon/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <event2/event.h>
#include <weft/log.h>

#include "context/timer.h"
#include "daemon/child.h"
#include "daemon/redis_server.h"
#include "queue/keeper.h"

/* Without a supervisor of its own (systemd), weftd gives up when Redis has not answered for so long at the start. */
#define REDIS_START_LIMIT_US (5 * INT64_C(1000000))

/* Beyond `shutdown_timeout`, for workers to clean up and settle; then they are killed. */
#define STOP_GRACE_MS 4000

/* At the end, for the jobs of workers that were killed to be given back. */
#define RECLAIM_LIMIT_US (2 * INT64_C(1000000))

#define TICK_US (100 * 1000)

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_STOPPING };

struct supervisor {
    struct child_setting setting;
    enum supervisor_state state;
    bool announced; /* "weftd ready" has been said */
    int exit_status;
    int64_t started_us;
    int64_t workers_gone_us; /* when the last worker ended */
    struct event_base *base;
    struct queue_keeper *keeper;
    struct redis_server *redis;
    struct child *children;
    size_t count;
    struct event *signal_events[4];
    struct event *tick_event;
    struct event *kill_event;
    char redis_problem[512];
};

static void begin_stop(struct supervisor *supervisor, int exit_status);

/* ---- Workers ---- */

static size_t workers_running(const struct supervisor *supervisor)
{
    size_t running = 0;

    for (size_t i = 0; i < supervisor->count; i++)
        running += supervisor->children[i].pid > 0;
    return running;
}

static void signal_workers(const struct supervisor *supervisor, int signal_number)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].pid > 0)
            (void)kill(supervisor->children[i].pid, signal_number);
}

static void start_due_workers(struct supervisor *supervisor)
{
    int64_t now = timer_now_us();

    for (size_t i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];

        if (child->pid > 0 || child->start_at_us == 0 || child->start_at_us > now)
            continue;
        int r = child_start(child, &supervisor->setting);
        if (r < 0)
            weft_log_with(WEFT_ERROR, "a worker could not be started", WEFT_TEXT("error", strerror(-r)));
    }
}

static bool all_workers_ready(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (!atomic_load(&supervisor->setting.scoreboard->slots[supervisor->children[i].slot].ready))
            return false;
    return true;
}

/* The jobs of workers that were killed are given back first, but a Redis that is away keeps nobody from stopping. */
static void end_if_stopped(struct supervisor *supervisor)
{
    if (supervisor->state != SUPERVISOR_STOPPING || workers_running(supervisor) > 0)
        return;
    if (!supervisor->keeper || queue_keeper_is_idle(supervisor->keeper) ||
        timer_now_us() - supervisor->workers_gone_us > RECLAIM_LIMIT_US)
        (void)event_base_loopexit(supervisor->base, NULL);
}

static void worker_ended(struct supervisor *supervisor, struct child *child, int status)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    child_ended(child, &supervisor->setting, status, clean && supervisor->state == SUPERVISOR_STOPPING);
    supervisor->workers_gone_us = timer_now_us();
    /* Whatever the status: a handler may have called exit(), and after a clean end there is nothing to be found. */
    if (queue_keeper_reclaim(supervisor->keeper, child->consumer) < 0)
        weft_error("the jobs of a dead worker could not be given back: out of memory");
    /* A plugin that cannot start now will not in a second either. */
    if (WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG && !supervisor->announced &&
        supervisor->state == SUPERVISOR_RUNNING)
        begin_stop(supervisor, EX_CONFIG);
    end_if_stopped(supervisor);
}

/* ---- Stopping ---- */

static void kill_workers(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    (void)fd;
    (void)what;
    weft_log_with(WEFT_ERROR, "killing workers that do not end", WEFT_INT("workers", workers_running(supervisor)));
    signal_workers(supervisor, SIGKILL);
}

static void begin_stop(struct supervisor *supervisor, int exit_status)
{
    int64_t limit_ms = supervisor->setting.config->shutdown_timeout_ms + STOP_GRACE_MS;

    supervisor->state = SUPERVISOR_STOPPING;
    supervisor->exit_status = exit_status;
    if (workers_running(supervisor) == 0) {
        end_if_stopped(supervisor);
        return;
    }
    signal_workers(supervisor, SIGTERM);
    (void)event_add(supervisor->kill_event,
                    &(struct timeval){.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000});
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    (void)what;
    if (supervisor->state == SUPERVISOR_STOPPING) {
        /* The second time: at once. */
        signal_workers(supervisor, SIGQUIT);
        (void)event_add(supervisor->kill_event, &(struct timeval){.tv_sec = STOP_GRACE_MS / 1000});
        return;
    }
    weft_log_with(WEFT_INFO, "weftd stopping", WEFT_TEXT("signal", sigabbrev_np((int)number)),
                  WEFT_INT("workers", workers_running(supervisor)));
    begin_stop(supervisor, EX_OK);
}

static void on_reload_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    (void)arg;
    weft_warn("SIGHUP: this version does not reload; restart weftd for a new configuration");
}

/* ---- Children of all kinds ---- */

static void on_child_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    int status;

    (void)number;
    (void)what;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        if (redis_server_child_ended(supervisor->redis, pid, status))
            continue;
        for (size_t i = 0; i < supervisor->count; i++)
            if (supervisor->children[i].pid == pid)
                worker_ended(supervisor, &supervisor->children[i], status);
    }
}

/* ---- Redis ---- */

static void redis_ready(void *user)
{
    struct supervisor *supervisor = user;

    if (supervisor->state != SUPERVISOR_STARTING)
        return;
    supervisor->state = SUPERVISOR_RUNNING;
    for (size_t i = 0; i < supervisor->count; i++)
        supervisor->children[i].start_at_us = timer_now_us();
    start_due_workers(supervisor);
}

static void redis_state(const char *problem, void *user)
{
    struct supervisor *supervisor = user;

    if (problem && supervisor->state == SUPERVISOR_STARTING) {
        /* An embedded Redis takes a moment; whether it was too long is for the tick to say. */
        (void)snprintf(supervisor->redis_problem, sizeof(supervisor->redis_problem), "%s", problem);
        if (supervisor->setting.config->redis.kind == CONFIG_REDIS_EMBEDDED)
            return;
    }
    if (problem)
        weft_log_with(WEFT_ERROR, "Redis does not answer as it should; trying again", WEFT_TEXT("error", problem));
    else if (supervisor->state != SUPERVISOR_STARTING)
        weft_log_fields(WEFT_INFO, "Redis answers again", NULL, 0);
}

static void reclaimed(const char *queue, const char *consumer, long count, void *user)
{
    (void)user;
    weft_log_with(WEFT_WARN, "jobs of a dead worker are back in their queue", WEFT_TEXT("queue", queue),
                  WEFT_TEXT("consumer", consumer), WEFT_INT("jobs", count));
}

static const struct queue_keeper_events keeper_events = {
    .ready = redis_ready,
    .redis_state = redis_state,
    .reclaimed = reclaimed,
};

/* ---- Time ---- */

static void check_redis_start(struct supervisor *supervisor)
{
    bool overdue = timer_now_us() - supervisor->started_us > REDIS_START_LIMIT_US;

    /* systemd knows when it has waited long enough, and shows what weftd says meanwhile. */
    if (!overdue || getenv("NOTIFY_SOCKET"))
        return;
    weft_log_with(WEFT_ERROR, "Redis is unavailable; weftd ends", WEFT_TEXT("error", supervisor->redis_problem));
    begin_stop(supervisor, EX_UNAVAILABLE);
}

static void announce(struct supervisor *supervisor)
{
    const struct config *config = supervisor->setting.config;

    supervisor->announced = true;
    weft_log_with(WEFT_INFO, "weftd ready", WEFT_INT("workers", supervisor->count),
                  WEFT_INT("queues", config->queue_count), WEFT_INT("job_types", config->job_count),
                  WEFT_TEXT("redis", config->redis.socket_path ? config->redis.socket_path : config->redis.host),
                  WEFT_TEXT("version", WEFT_VERSION));
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    (void)fd;
    (void)what;
    if (supervisor->state == SUPERVISOR_STARTING)
        check_redis_start(supervisor);
    end_if_stopped(supervisor);
    /* Also with nothing new to write: an output that was full may have room again. */
    log_output_flush(supervisor->setting.output);
    if (supervisor->state != SUPERVISOR_RUNNING)
        return;
    start_due_workers(supervisor);
    if (!supervisor->announced && all_workers_ready(supervisor))
        announce(supervisor);
}

/* ---- The process ---- */

static int start_events(struct supervisor *supervisor)
{
    struct event_base *base = supervisor->base;

    supervisor->signal_events[0] = evsignal_new(base, SIGTERM, on_stop_signal, supervisor);
    supervisor->signal_events[1] = evsignal_new(base, SIGINT, on_stop_signal, supervisor);
    supervisor->signal_events[2] = evsignal_new(base, SIGHUP, on_reload_signal, supervisor);
    supervisor->signal_events[3] = evsignal_new(base, SIGCHLD, on_child_signal, supervisor);
    supervisor->tick_event = event_new(base, -1, EV_PERSIST, on_tick, supervisor);
    supervisor->kill_event = evtimer_new(base, kill_workers, supervisor);
    for (size_t i = 0; i < 4; i++)
        if (!supervisor->signal_events[i] || event_add(supervisor->signal_events[i], NULL) < 0)
            return -ENOMEM;
    if (!supervisor->tick_event || !supervisor->kill_event)
        return -ENOMEM;
    return event_add(supervisor->tick_event, &(struct timeval){.tv_usec = TICK_US}) < 0 ? -ENOMEM : 0;
}

static int start_redis(struct supervisor *supervisor)
{
    const struct config *config = supervisor->setting.config;
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

static int start(struct supervisor *supervisor)
{
    const struct config *config = supervisor->setting.config;

    supervisor->count = config->workers;
    supervisor->children = calloc(supervisor->count, sizeof(*supervisor->children));
    supervisor->base = event_base_new();
    if (!supervisor->children || !supervisor->base)
        return -ENOMEM;
    supervisor->setting.base = supervisor->base;
    for (size_t i = 0; i < supervisor->count; i++)
        supervisor->children[i].slot = i + 1;
    int r = start_events(supervisor);
    if (r == 0)
        r = start_redis(supervisor);
    if (r == 0)
        r = queue_keeper_new(supervisor->base, &config->queue_options, &keeper_events, supervisor, &supervisor->keeper);
    supervisor->started_us = timer_now_us();
    return r;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void log_stopped(const struct supervisor *supervisor)
{
    uint64_t done = 0, failed = 0;
    long contexts = 0, tasks = 0, jobs = 0;

    for (size_t i = 1; i <= supervisor->count; i++) {
        const struct scoreboard_slot *slot = &supervisor->setting.scoreboard->slots[i];

        done += atomic_load(&slot->jobs_done);
        failed += atomic_load(&slot->jobs_failed);
        contexts += atomic_load(&slot->live_contexts);
        tasks += atomic_load(&slot->live_tasks);
        jobs += atomic_load(&slot->live_jobs);
    }
    weft_log_with(WEFT_INFO, "weftd stopped", WEFT_INT("jobs_done", done), WEFT_INT("jobs_failed", failed),
                  WEFT_INT("live_contexts", contexts), WEFT_INT("live_tasks", tasks), WEFT_INT("live_jobs", jobs));
}

static void finish(struct supervisor *supervisor)
{
    supervisor->keeper = queue_keeper_free(supervisor->keeper);
    supervisor->redis = redis_server_free(supervisor->redis);
    for (size_t i = 0; i < 4; i++)
        free_event(supervisor->signal_events[i]);
    free_event(supervisor->tick_event);
    free_event(supervisor->kill_event);
    free(supervisor->children);
    if (supervisor->base)
        event_base_free(supervisor->base);
}

int supervisor_run(const struct config *config, struct scoreboard *scoreboard, struct log_output *output)
{
    struct supervisor supervisor = {
        .setting = {.config = config, .output = output, .scoreboard = scoreboard},
        .exit_status = EX_OK,
    };
    int r = start(&supervisor);

    if (r == 0) {
        (void)event_base_dispatch(supervisor.base);
        log_stopped(&supervisor);
    } else if (supervisor.exit_status == EX_OK) {
        weft_error("weftd could not start: %s", strerror(-r));
        supervisor.exit_status = EX_OSERR;
    }
    finish(&supervisor);
    return supervisor.exit_status;
}
