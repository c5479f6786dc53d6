#include "daemon/supervisor/crash_report.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include <weft/log.h>

#include "context/time.h"
#include "daemon/crash/backtrace.h"
#include "daemon/crash/crash_read.h"
#include "daemon/scoreboard/job_slot_read.h"
#include "handlers/retry.h"
#include "queue/settle/settlement.h"

#define REASON_SIZE 512

struct crash_report {
    const struct worker_process *worker;
    const struct job_slot *culprit; /* NULL: nobody */
    struct crash crash;             /* all zero without a record */
    char reason[REASON_SIZE];
    struct backtrace backtrace;
};

/* ---- Who it was ---- */

static const char *explain_fault(const struct watchdog_state *watchdog)
{
    switch (watchdog->fault) {
    case WORKER_NO_FAULT:
    case WORKER_LATE:
        break;
    case WORKER_FROZEN:
        return "it had been stopped for too long";
    case WORKER_STALLED:
        return watchdog->culprit ? "it kept its worker from turning to any other job"
                                 : "its loop had stood still for too long";
    case WORKER_OVERDUE:
        return "it went on after its time-out";
    case WORKER_TOO_LARGE:
        return "it used up more memory than \"max_rss\" allows";
    case WORKER_NEVER_READY:
        return "its plugins did not start";
    }
    return NULL;
}

/* ---- Lines ---- */

static int log_crash(void *arg)
{
    struct crash_report *report = arg;
    const struct backtrace *backtrace = &report->backtrace;
    struct weft_field fields[4] = {
        WEFT_TEXT("error", report->reason),
        WEFT_INT("worker_pid", report->worker->pid),
    };
    size_t count = 2;

    if (backtrace->frames[0])
        fields[count++] = WEFT_TEXT("backtrace", backtrace->frames);
    if (backtrace->stack[0])
        fields[count++] = WEFT_TEXT("stack", backtrace->stack);
    weft_log_fields(WEFT_ERROR, "worker crashed", fields, count);
    return 0;
}

static int log_returned(void *arg)
{
    struct crash_report *report = arg;

    weft_log_with(WEFT_WARN, "job interrupted by the end of its worker; it runs again, uncharged",
                  WEFT_INT("worker_pid", report->worker->pid));
    return 0;
}

static int log_subtasks(void *arg)
{
    struct crash_report *report = arg;

    weft_log_with(WEFT_WARN, "subtasks ended with their worker", WEFT_INT("worker_pid", report->worker->pid));
    return 0;
}

static void log_in_context(struct crash_report *report, const struct job_slot *job_slot, int (*log)(void *arg))
{
    bool guilty = job_slot == report->culprit;
    struct weft_context *context;

    if (job_slot_read_context(job_slot, guilty ? report->crash.handler : NULL, guilty ? report->crash.task : NULL,
                              &context) < 0)
        return;
    (void)weft_run_in(context, log, report);
    (void)weft_context_unref(context);
}

/* ---- The neighbours ---- */

/* What its worker has counted as an attempt has an outcome now. */
static void count_outcome(const struct crash_report *report, const struct job *job, enum job_outcome outcome)
{
    const struct tally *tally = &report->worker->tally;
    struct tally_cell *cell = tally_cell(tally, tally_find_queue(tally, job->queue), tally_find_type(tally, job->type));

    counter_add(&cell->outcomes[outcome], 1);
}

static void tell_neighbours(struct crash_report *report)
{
    const struct job_slot_table *job_slots = &report->worker->job_slots;

    for (size_t i = 0; i < job_slots->capacity; i++) {
        enum job_slot_state state = job_slot_state(job_slots, i);

        if (state == JOB_SLOT_FREE || &job_slots->job_slots[i] == report->culprit)
            continue;
        const struct job_slot *job_slot = &job_slots->job_slots[i];
        struct job_slot_job job;

        log_in_context(report, job_slot, state == JOB_SLOT_RUNNING ? log_returned : log_subtasks);
        if (state == JOB_SLOT_RUNNING && job_slot_read_job(job_slot, &job) == 0 && job.started_ms > 0)
            count_outcome(report, &job.job, JOB_RETURNED);
    }
}

/* ---- The culprit's outcome ---- */

struct verdict_lines {
    const struct settlement *settlement;
    int64_t in_ms;
};

static int log_verdict(void *arg)
{
    const struct verdict_lines *lines = arg;
    const struct settlement *settlement = lines->settlement;

    weft_log_with(settlement->outcome == JOB_DEAD ? WEFT_ERROR : WEFT_WARN, "job failed",
                  WEFT_TEXT("error", settlement->error));
    if (settlement->outcome == JOB_DEAD)
        weft_log_with(WEFT_ERROR, "job dead", WEFT_TEXT("error", settlement->error));
    else
        weft_log_with(WEFT_INFO, "retry scheduled", WEFT_INT("in_ms", lines->in_ms));
    return 0;
}

/* Like a failed attempt. Gives whether it was the last one. */
static bool settle_culprit(struct crash_report *report)
{
    const struct generation *generation = report->worker->generation;
    struct weft_context *context;
    struct job_slot_job job_slot;

    if (job_slot_read_job(report->culprit, &job_slot) < 0)
        return false;

    const struct config *config = generation->config;
    const struct config_job *type = config_find_job(config, job_slot.job.type);
    const struct config_backoff *backoff = type ? &type->backoff : &config->defaults.backoff;
    struct retry_backoff retry = {backoff->base_ms, backoff->max_ms, backoff->jitter};
    uint32_t number;
    double random = getrandom(&number, sizeof(number), 0) == (ssize_t)sizeof(number) ? number * 0x1p-32 : 0.5;
    bool last = job_slot.job.attempt >= job_slot.job.attempts;
    struct verdict_lines lines = {.in_ms = last ? 0 : retry_delay_ms(&retry, job_slot.job.attempt, random)};
    struct settlement settlement = {
        .job = &job_slot.job,
        .outcome = last ? JOB_DEAD : JOB_RETRY,
        .error = report->reason,
        .started_ms = job_slot.started_ms,
        .duration_us = job_slot.started_ms ? (time_unix_ms() - job_slot.started_ms) * 1000 : 0,
        .due_ms = last ? 0 : time_unix_ms() + lines.in_ms,
        .charged = true,
    };
    lines.settlement = &settlement;
    if (maintenance_settle(generation->maintenance, &settlement) < 0) {
        weft_error("the outcome of a job that brought its worker down could not be kept: it runs again, uncharged");
        return false;
    }
    count_outcome(report, &job_slot.job, settlement.outcome);
    if (job_slot_read_context(report->culprit, report->crash.handler, report->crash.task, &context) == 0) {
        (void)weft_run_in(context, log_verdict, &lines);
        (void)weft_context_unref(context);
    }
    return last;
}

/* ---- */

bool crash_report_write(const struct worker_process *worker, bool killed_by_kernel)
{
    struct crash_report report = {.worker = worker};
    const struct crash_record *record = &worker->slot->crash;
    bool dead = false;

    assert(worker->state == WORKER_ENDED);
    /* SIGKILL leaves no record. Whoever sent it had no particular job in mind, except the kernel when memory has run
     * out: then it is the one that was running. */
    bool signalled = WIFSIGNALED(worker->status);
    uintptr_t culprit = 0;
    if (worker->watchdog.fault != WORKER_NO_FAULT)
        culprit = worker->watchdog.culprit;
    else if (!signalled || WTERMSIG(worker->status) != SIGKILL || killed_by_kernel)
        culprit = crash_culprit(record);
    report.culprit = job_slot_find_running(&worker->job_slots, culprit);
    crash_describe(record, worker->status, killed_by_kernel ? "memory had run out" : explain_fault(&worker->watchdog),
                   report.reason, sizeof(report.reason));
    if (crash_read(record, &report.crash) == 0)
        backtrace_describe(&report.crash, BACKTRACE_LIMIT_MS, &report.backtrace);
    if (signalled)
        weft_log_with(WEFT_ERROR, "worker killed by a signal", WEFT_INT("worker", worker->number),
                      WEFT_INT("worker_pid", worker->pid), WEFT_TEXT("signal", sigabbrev_np(WTERMSIG(worker->status))),
                      WEFT_TEXT("error", report.reason));
    else
        weft_log_with(WEFT_ERROR, "worker ended", WEFT_INT("worker", worker->number),
                      WEFT_INT("worker_pid", worker->pid), WEFT_INT("exit_status", WEXITSTATUS(worker->status)),
                      WEFT_TEXT("error", report.reason));
    if (report.culprit) {
        log_in_context(&report, report.culprit, log_crash);
        if (job_slot_state(&worker->job_slots, (size_t)(report.culprit - worker->job_slots.job_slots)) ==
            JOB_SLOT_RUNNING)
            dead = settle_culprit(&report);
    }
    tell_neighbours(&report);
    if (maintenance_reclaim(worker->generation->maintenance, worker->consumer) < 0)
        weft_error("the jobs of a dead worker could not be given back: out of memory");
    return dead;
}
