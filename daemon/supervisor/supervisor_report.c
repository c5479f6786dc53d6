#include "daemon/supervisor/supervisor_report.h"

#include <stdio.h>

#include "context/time.h"

static const char *redis_problem_of(const struct supervisor *supervisor)
{
    if (supervisor->state == SUPERVISOR_STARTING)
        return supervisor->first->redis_problem[0] ? supervisor->first->redis_problem : NULL;
    return supervisor->health_report.unhealthy && supervisor->health_report.text_count > 0
               ? supervisor->health_report.texts[0]
               : NULL;
}

/* ---- The service manager ---- */

void supervisor_tell_manager(struct supervisor *supervisor)
{
    const struct worker_process *worker;
    struct service_figures figures = {
        .workers = worker_pool_running(&supervisor->pool),
        .jobs_done = supervisor->pool.totals.jobs_done,
        .redis_problem = redis_problem_of(supervisor),
        .redis_full = supervisor->pool.generation && supervisor->pool.generation->redis_full,
        .why_refused = supervisor->reload.why_refused[0] ? supervisor->reload.why_refused : NULL,
        .sound = watchdog_is_in_control(&supervisor->watchdog, &supervisor->pool),
    };

    if (supervisor->state == SUPERVISOR_STOPPING)
        figures.phase = SERVICE_STOPPING;
    else if (!supervisor->announced)
        figures.phase = SERVICE_STARTING;
    else
        figures.phase = supervisor->reload.state == RELOAD_NOT ? SERVICE_RUNNING : SERVICE_RELOADING;
    TAILQ_FOREACH (worker, &supervisor->pool.workers, entry)
        if (worker_process_runs(worker)) {
            figures.in_flight += atomic_load(&worker->slot->in_flight);
            figures.jobs_done += atomic_load(&worker->slot->jobs_done);
        }
    service_tell(&supervisor->service, &figures, time_steady_us());
    /* In this order: whoever waits for the outcome ends on it, and the service manager then is to know that no reload
     * goes on any more. */
    reload_outcome_tell(&supervisor->reload_outcome, &supervisor->reload);
}

/* ---- The web server ---- */

/* As the watchdog has it. */
static const char *show_health(void *user)
{
    const struct supervisor *supervisor = user;

    return watchdog_is_in_control(&supervisor->watchdog, &supervisor->pool) ? NULL : "a worker stands still";
}

static const char *show_readiness(void *user)
{
    struct supervisor *supervisor = user;
    const char *problem = redis_problem_of(supervisor);
    const struct worker_process *worker;

    if (supervisor->state == SUPERVISOR_STOPPING)
        return "weftd is stopping";
    if (problem) {
        (void)snprintf(supervisor->why_not, sizeof(supervisor->why_not), "Redis is unavailable: %s", problem);
        return supervisor->why_not;
    }
    if (!supervisor->announced)
        return "weftd is starting";
    TAILQ_FOREACH (worker, &supervisor->pool.workers, entry)
        if (worker->state == WORKER_READY)
            return NULL;
    return "no worker takes jobs";
}

static void show_metrics(struct evbuffer *buffer, void *user)
{
    struct supervisor *supervisor = user;
    bool redis_answers = supervisor->state != SUPERVISOR_STARTING && !redis_problem_of(supervisor);

    metrics_note_scrape(&supervisor->metrics);
    metrics_write(&supervisor->metrics, &supervisor->pool, supervisor->slot, redis_answers, buffer);
}

const struct web_pages supervisor_pages = {
    .health = show_health,
    .readiness = show_readiness,
    .metrics = show_metrics,
};
