#include "daemon/supervisor/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "context/macros.h"
#include "context/time.h"
#include "daemon/metrics/exposition.h"

#define SAMPLE_PERIOD_US (1000 * INT64_C(1000))

/* Queues a second: as long as nobody asks for the metrics, no more than a node that idles should cost Redis. */
#define SAMPLE_IDLE    5
#define SAMPLE_SCRAPED 100
#define SCRAPED_US     (2 * 60 * INT64_C(1000000)) /* after a scrape there is likely another */

/* Older ones are no longer true. */
#define SAMPLE_LIFE_US (5 * INT64_C(1000000))

/* Two names of 128 bytes at most, and what is around them. */
#define LABELS_SIZE 384

static const char *const outcomes[TALLY_OUTCOMES] = {
    [JOB_DONE] = "done",           [JOB_RETRY] = "retry",     [JOB_DEAD] = "dead",
    [JOB_CANCELLED] = "cancelled", [JOB_DELAYED] = "delayed", [JOB_RETURNED] = "returned",
    [JOB_DUPLICATE] = "duplicate",
};

static const char *const levels[METRICS_LEVELS] = {"debug", "info", "warn", "error"};

/* Where crashes of an enum worker_fault are counted. */
#define CAUSE_OF(fault) ((size_t)METRICS_FAULT + (size_t)(fault)-1)

static const char *const causes[METRICS_CAUSES] = {
    [METRICS_SIGNAL] = "signal",
    [METRICS_EXIT] = "exit",
    [METRICS_OUT_OF_MEMORY] = "out_of_memory",
    [CAUSE_OF(WORKER_STALLED)] = "stalled",
    [CAUSE_OF(WORKER_FROZEN)] = "frozen",
    [CAUSE_OF(WORKER_OVERDUE)] = "overdue",
    [CAUSE_OF(WORKER_TOO_LARGE)] = "too_large",
    [CAUSE_OF(WORKER_NEVER_READY)] = "never_ready",
    [CAUSE_OF(WORKER_LATE)] = "late",
};

/* ---- Gathering ---- */

/* Where there is no memory for it, a part of the counts is missing from then on: a scrape sees them fall, as after a
 * restart. */
void metrics_note_end(struct metrics *metrics, const struct worker_process *worker, bool crashed, bool out_of_memory)
{
    (void)!totals_add_tally(&metrics->gone, &worker->tally, true);
    for (size_t i = 0; i < METRICS_LEVELS; i++)
        metrics->gone_lines[i] += counter_get(&worker->slot->log_lines[i]);
    metrics->gone_lines_lost += counter_get(&worker->slot->log_lines_lost);
    metrics->gone_abandoned += counter_get(&worker->slot->offload_abandoned_total);
    if (!crashed)
        return;
    if (worker->watchdog.fault != WORKER_NO_FAULT)
        metrics->crashes[CAUSE_OF(worker->watchdog.fault)]++;
    else if (out_of_memory)
        metrics->crashes[METRICS_OUT_OF_MEMORY]++;
    else
        metrics->crashes[WIFSIGNALED(worker->status) ? METRICS_SIGNAL : METRICS_EXIT]++;
}

void metrics_note_samples(struct metrics *metrics, const struct generation *generation,
                          const struct queue_sample *samples, int64_t round_trip_us)
{
    size_t count = generation->config->queue_count;
    struct queue_sample *copy = reallocarray(metrics->samples, count, sizeof(*copy));

    histogram_add(&metrics->round_trips, round_trip_us);
    if (!copy)
        return;
    memcpy(copy, samples, count * sizeof(*copy));
    metrics->samples = copy;
    metrics->sampled = generation->number;
    metrics->sampled_us = time_steady_us();
}

void metrics_note_scrape(struct metrics *metrics)
{
    metrics->scraped_us = time_steady_us();
}

void metrics_tend(struct metrics *metrics, const struct worker_pool *pool)
{
    int64_t now_us = time_steady_us();

    if (!pool->generation || now_us - metrics->asked_us < SAMPLE_PERIOD_US)
        return;
    metrics->asked_us = now_us;
    maintenance_sample(pool->generation->maintenance,
                       metrics->scraped_us != 0 && now_us - metrics->scraped_us < SCRAPED_US ? SAMPLE_SCRAPED
                                                                                             : SAMPLE_IDLE);
}

void metrics_done(struct metrics *metrics)
{
    totals_done(&metrics->gone);
    free(metrics->samples);
    metrics->samples = NULL;
}

/* What is still counted in a slot of its own. */
static bool counts(const struct worker_process *worker)
{
    return worker_process_runs(worker) && worker->slot;
}

/* ---- Writing ---- */

static const char *label_job(const struct totals_cell *cell, const char *more, char labels[static LABELS_SIZE])
{
    /* No configuration can have a type of that name. */
    (void)snprintf(labels, LABELS_SIZE, "queue=\"%s\",type=\"%s\"%s", cell->queue,
                   *cell->type ? cell->type : "(unknown)", more);
    return labels;
}

static void write_outcomes(const struct totals *totals, struct evbuffer *buffer)
{
    char labels[LABELS_SIZE], more[32];

    exposition_begin(buffer, "weft_jobs_total", "counter", "Attempts that have ended, by what became of the job.");
    for (size_t i = 0; i < totals->cell_count; i++)
        for (size_t j = 0; j < TALLY_OUTCOMES; j++) {
            /* Those are no attempts. */
            if (j == JOB_DELAYED)
                continue;
            (void)snprintf(more, sizeof(more), ",outcome=\"%s\"", outcomes[j]);
            exposition_add(buffer, "weft_jobs_total", label_job(&totals->cells[i], more, labels),
                           counter_get(&totals->cells[i].sum.outcomes[j]));
        }
}

static void write_jobs(const struct totals *totals, struct evbuffer *buffer)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } families[] = {
        {"weft_job_attempts_total", "counter", "Attempts that were started.", offsetof(struct tally_cell, attempts)},
        {"weft_job_retries_total", "counter", "Attempts that have failed and are tried again.",
         offsetof(struct tally_cell, outcomes[JOB_RETRY])},
        {"weft_jobs_in_flight", "gauge", "Attempts that run now, in this node.", offsetof(struct tally_cell, running)},
        {"weft_subtasks_total", "counter", "Subtasks that were started.", offsetof(struct tally_cell, subtasks)},
        {"weft_subtasks_failed_total", "counter", "Subtasks that have failed.",
         offsetof(struct tally_cell, subtasks_failed)},
    };
    char labels[LABELS_SIZE];

    write_outcomes(totals, buffer);
    for (size_t i = 0; i < ELEMENTS(families); i++) {
        exposition_begin(buffer, families[i].name, families[i].type, families[i].help);
        for (size_t j = 0; j < totals->cell_count; j++)
            exposition_add(buffer, families[i].name, label_job(&totals->cells[j], "", labels),
                           counter_get((const void *)((const char *)&totals->cells[j].sum + families[i].offset)));
    }
    exposition_begin(buffer, "weft_job_duration_seconds", "histogram", "How long the handlers of an attempt took.");
    for (size_t i = 0; i < totals->cell_count; i++)
        exposition_add_histogram(buffer, "weft_job_duration_seconds", label_job(&totals->cells[i], "", labels),
                                 &totals->cells[i].sum.durations);
}

static void write_queues(const struct metrics *metrics, const struct worker_pool *pool, struct evbuffer *buffer)
{
    static const struct {
        const char *name, *help;
    } families[] = {
        {"weft_queue_ready", "Jobs that wait for a worker."},
        {"weft_queue_in_flight", "Jobs that workers hold, on all nodes."},
        {"weft_queue_delayed", "Jobs that wait for their time, or for their next attempt."},
        {"weft_queue_dead", "Dead letters."},
        {"weft_queue_age_seconds", "How long the next job has been ready; 0 where none is."},
    };
    char labels[LABELS_SIZE];

    if (!pool->generation || metrics->sampled != pool->generation->number ||
        time_steady_us() - metrics->sampled_us > SAMPLE_LIFE_US)
        return;
    const struct config *config = pool->generation->config;
    for (size_t i = 0; i < ELEMENTS(families); i++) {
        exposition_begin(buffer, families[i].name, "gauge", families[i].help);
        for (size_t j = 0; j < config->queue_count; j++) {
            const struct queue_sample *sample = &metrics->samples[j];
            int64_t ready = sample->entries < sample->held ? 0 : sample->entries - sample->held;
            const int64_t values[] = {sample->entries < 0 ? -1 : ready, sample->held, sample->delayed, sample->dead,
                                      sample->entries >= 0 && sample->age_ms < 0 ? 0 : sample->age_ms};

            (void)snprintf(labels, sizeof(labels), "queue=\"%s\"", config->queues[j].name);
            if (values[i] < 0)
                continue;
            if (i == 4)
                exposition_add_real(buffer, families[i].name, labels, (double)values[i] / 1000);
            else
                exposition_add(buffer, families[i].name, labels, (uint64_t)values[i]);
        }
    }
}

static void write_lines(const struct metrics *metrics, const struct worker_pool *pool,
                        const struct scoreboard_slot *slot, struct evbuffer *buffer)
{
    uint64_t lost = metrics->gone_lines_lost + counter_get(&slot->log_lines_lost);
    const struct worker_process *worker;
    char labels[LABELS_SIZE];

    exposition_begin(buffer, "weft_log_lines_total", "counter", "Log lines, by their level.");
    for (size_t i = 0; i < METRICS_LEVELS; i++) {
        uint64_t lines = metrics->gone_lines[i] + counter_get(&slot->log_lines[i]);

        TAILQ_FOREACH (worker, &pool->workers, entry)
            lines += counts(worker) ? counter_get(&worker->slot->log_lines[i]) : 0;
        (void)snprintf(labels, sizeof(labels), "level=\"%s\"", levels[i]);
        exposition_add(buffer, "weft_log_lines_total", labels, lines);
    }
    TAILQ_FOREACH (worker, &pool->workers, entry)
        lost += counts(worker) ? counter_get(&worker->slot->log_lines_lost) : 0;
    exposition_single(buffer, "weft_log_lines_lost_total", "counter", "Log lines that an output did not take.", lost);
}

static void write_workers(const struct metrics *metrics, const struct worker_pool *pool, struct evbuffer *buffer)
{
    uint64_t abandoned_total = metrics->gone_abandoned;
    uint64_t starting = 0, ready = 0, retiring = 0, contexts = 0, tasks = 0, threads = 0, abandoned = 0;
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry) {
        starting += worker->state == WORKER_STARTING;
        ready += worker->state == WORKER_READY;
        retiring += worker->state == WORKER_RETIRING;
        if (counts(worker)) {
            contexts += (uint64_t)atomic_load(&worker->slot->contexts);
            tasks += (uint64_t)atomic_load(&worker->slot->tasks);
            threads += (uint64_t)atomic_load(&worker->slot->offload_threads);
            abandoned += (uint64_t)atomic_load(&worker->slot->offload_abandoned);
            abandoned_total += counter_get(&worker->slot->offload_abandoned_total);
        }
    }
    exposition_begin(buffer, "weft_workers", "gauge", "Worker processes, by their state.");
    exposition_add(buffer, "weft_workers", "state=\"starting\"", starting);
    exposition_add(buffer, "weft_workers", "state=\"ready\"", ready);
    exposition_add(buffer, "weft_workers", "state=\"retiring\"", retiring);
    exposition_single(buffer, "weft_context_frames", "gauge", "Context frames that are in use.", contexts);
    exposition_single(buffer, "weft_tasks", "gauge", "Tasks, each in a fiber of its own: chains and subtasks.", tasks);
    exposition_single(buffer, "weft_offload_threads", "gauge", "Threads for what blocks.", threads);
    exposition_single(buffer, "weft_offload_abandoned", "gauge",
                      "Calls on such threads that were given up, after their job's time-out, and have not returned.",
                      abandoned);
    exposition_single(buffer, "weft_offload_abandoned_total", "counter", "Calls that were given up.", abandoned_total);
}

void metrics_write(const struct metrics *metrics, const struct worker_pool *pool, const struct scoreboard_slot *slot,
                   bool redis_answers, struct evbuffer *buffer)
{
    const struct worker_process *worker;
    struct totals totals = {0};
    char labels[LABELS_SIZE];
    int r = totals_add(&totals, &metrics->gone);

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (counts(worker) && r == 0)
            r = totals_add_tally(&totals, &worker->tally, false);
    exposition_begin(buffer, "weft_build_info", "gauge", "1, with the version.");
    exposition_add(buffer, "weft_build_info", "version=\"" WEFT_VERSION "\"", 1);
    /* Counts that fell for want of memory would look like a restart. */
    if (r == 0) {
        write_jobs(&totals, buffer);
        exposition_begin(buffer, "weft_job_wait_seconds", "histogram",
                         "How long jobs were ready in their queue before they were started.");
        for (size_t i = 0; i < totals.queue_count; i++) {
            (void)snprintf(labels, sizeof(labels), "queue=\"%s\"", totals.queues[i].queue);
            exposition_add_histogram(buffer, "weft_job_wait_seconds", labels, &totals.queues[i].sum.waits);
        }
    }
    write_queues(metrics, pool, buffer);
    write_workers(metrics, pool, buffer);
    exposition_begin(buffer, "weft_worker_crashes_total", "counter",
                     "Workers that have ended, or were ended, though they were to go on.");
    for (size_t i = 0; i < METRICS_CAUSES; i++) {
        (void)snprintf(labels, sizeof(labels), "cause=\"%s\"", causes[i]);
        exposition_add(buffer, "weft_worker_crashes_total", labels, metrics->crashes[i]);
    }
    write_lines(metrics, pool, slot, buffer);
    exposition_single(buffer, "weft_redis_up", "gauge", "Whether Redis answers as it should.", redis_answers);
    exposition_begin(buffer, "weft_redis_round_trip_seconds", "histogram",
                     "How long Redis took to say how full the queues are, once a second.");
    exposition_add_histogram(buffer, "weft_redis_round_trip_seconds", "", &metrics->round_trips);
    totals_done(&totals);
}
