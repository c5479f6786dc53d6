#include "daemon/supervisor/crash_report.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include <weft/log.h>

#include "context/time.h"
#include "daemon/crash/backtrace.h"
#include "handlers/retry.h"
#include "queue/consumer/client.h"

#define REASON_SIZE 512

struct autopsy {
    const struct child *child;
    const struct card *culprit; /* NULL: nobody */
    struct crash crash;         /* all zero without a record */
    char reason[REASON_SIZE];
    struct backtrace backtrace;
};

/* ---- Who it was ---- */

static const char *explain_fault(const struct child_watch *watch)
{
    switch (watch->fault) {
    case CHILD_NO_FAULT:
    case CHILD_LATE:
        break;
    case CHILD_FROZEN:
        return "it had been stopped for too long";
    case CHILD_STALLED:
        return watch->culprit ? "it kept its worker from turning to any other job"
                              : "its loop had stood still for too long";
    case CHILD_OVERDUE:
        return "it went on after its time-out";
    case CHILD_TOO_LARGE:
        return "it used up more memory than \"max_rss\" allows";
    case CHILD_NEVER_READY:
        return "its plugins did not start";
    }
    return NULL;
}

/* SIGKILL leaves no record. Whoever sent it had no particular job in mind, except the kernel when memory has run out:
 * then it is the one that was running. */
static uintptr_t find_culprit(const struct child *child, bool killed_by_kernel)
{
    bool sigkill = WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGKILL;

    if (child->watch.fault != CHILD_NO_FAULT)
        return child->watch.culprit;
    if (sigkill && !killed_by_kernel)
        return 0;
    return crash_culprit(&child->slot->crash);
}

/* ---- Lines ---- */

static int log_crash(void *arg)
{
    struct autopsy *autopsy = arg;
    const struct backtrace *backtrace = &autopsy->backtrace;
    struct weft_field fields[4] = {
        WEFT_TEXT("error", autopsy->reason),
        WEFT_INT("worker_pid", autopsy->child->pid),
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
    struct autopsy *autopsy = arg;

    weft_log_with(WEFT_WARN, "job interrupted by the end of its worker; it runs again, uncharged",
                  WEFT_INT("worker_pid", autopsy->child->pid));
    return 0;
}

static int log_subtasks(void *arg)
{
    struct autopsy *autopsy = arg;

    weft_log_with(WEFT_WARN, "subtasks ended with their worker", WEFT_INT("worker_pid", autopsy->child->pid));
    return 0;
}

static void log_in_context(struct autopsy *autopsy, const struct card *card, int (*log)(void *arg))
{
    bool guilty = card == autopsy->culprit;
    struct weft_context *context;

    if (card_read_context(card, guilty ? autopsy->crash.handler : NULL, guilty ? autopsy->crash.task : NULL, &context) <
        0)
        return;
    (void)weft_run_in(context, log, autopsy);
    (void)weft_context_unref(context);
}

/* ---- The neighbours ---- */

/* What its worker has counted as an attempt has an outcome now. */
static void count_outcome(const struct autopsy *autopsy, const struct job *job, enum job_outcome outcome)
{
    const struct tally *tally = &autopsy->child->tally;
    struct tally_cell *cell = tally_cell(tally, tally_find_queue(tally, job->queue), tally_find_type(tally, job->type));

    counter_add(&cell->outcomes[outcome], 1);
}

static void return_neighbour(struct autopsy *autopsy, const struct card *card)
{
    struct card_job job;

    log_in_context(autopsy, card, log_returned);
    if (card_read_job(card, &job) == 0 && job.started_ms > 0)
        count_outcome(autopsy, &job.job, JOB_RETURNED);
}

static void tell_neighbours(struct autopsy *autopsy)
{
    const struct card_table *cards = &autopsy->child->cards;

    for (size_t i = 0; i < cards->capacity; i++) {
        enum card_state state = card_state(cards, i);

        if (state == CARD_FREE || &cards->cards[i] == autopsy->culprit)
            continue;
        if (state == CARD_RUNNING)
            return_neighbour(autopsy, &cards->cards[i]);
        else
            log_in_context(autopsy, &cards->cards[i], log_subtasks);
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

static double draw(void)
{
    uint32_t number = 0;

    return getrandom(&number, sizeof(number), 0) == (ssize_t)sizeof(number) ? number * 0x1p-32 : 0.5;
}

static int64_t retry_ms(const struct config *config, const struct job *job)
{
    const struct config_job *type = config_find_job(config, job->type);
    const struct config_backoff *backoff = type ? &type->backoff : &config->defaults.backoff;
    struct retry_backoff retry = {backoff->base_ms, backoff->max_ms, backoff->jitter};

    return retry_delay_ms(&retry, job->attempt, draw());
}

/* Like a failed attempt. Gives whether it was the last one. */
static bool settle_culprit(struct autopsy *autopsy)
{
    const struct generation *generation = autopsy->child->generation;
    struct weft_context *context;
    struct card_job card;

    if (card_read_job(autopsy->culprit, &card) < 0)
        return false;

    bool last = card.job.attempt >= card.job.attempts;
    struct verdict_lines lines = {.in_ms = last ? 0 : retry_ms(generation->config, &card.job)};
    struct settlement settlement = {
        .job = &card.job,
        .outcome = last ? JOB_DEAD : JOB_RETRY,
        .error = autopsy->reason,
        .started_ms = card.started_ms,
        .duration_us = card.started_ms ? (time_unix_ms() - card.started_ms) * 1000 : 0,
        .due_ms = last ? 0 : time_unix_ms() + lines.in_ms,
        .charged = true,
    };
    lines.settlement = &settlement;
    if (queue_keeper_settle(generation->keeper, &settlement) < 0) {
        weft_error("the outcome of a job that brought its worker down could not be kept: it runs again, uncharged");
        return false;
    }
    count_outcome(autopsy, &card.job, settlement.outcome);
    if (card_read_context(autopsy->culprit, autopsy->crash.handler, autopsy->crash.task, &context) == 0) {
        (void)weft_run_in(context, log_verdict, &lines);
        (void)weft_context_unref(context);
    }
    return last;
}

/* ---- */

static void log_end(const struct autopsy *autopsy)
{
    const struct child *child = autopsy->child;

    if (WIFSIGNALED(child->status))
        weft_log_with(WEFT_ERROR, "worker killed by a signal", WEFT_INT("worker", child->number),
                      WEFT_INT("worker_pid", child->pid), WEFT_TEXT("signal", sigabbrev_np(WTERMSIG(child->status))),
                      WEFT_TEXT("error", autopsy->reason));
    else
        weft_log_with(WEFT_ERROR, "worker ended", WEFT_INT("worker", child->number), WEFT_INT("worker_pid", child->pid),
                      WEFT_INT("exit_status", WEXITSTATUS(child->status)), WEFT_TEXT("error", autopsy->reason));
}

bool autopsy_perform(const struct child *child, bool killed_by_kernel)
{
    struct autopsy autopsy = {.child = child};
    const struct crash_record *record = &child->slot->crash;
    bool dead = false;

    autopsy.culprit = card_find_witness(&child->cards, find_culprit(child, killed_by_kernel));
    crash_describe(record, child->status, killed_by_kernel ? "memory had run out" : explain_fault(&child->watch),
                   autopsy.reason, sizeof(autopsy.reason));
    if (crash_read(record, &autopsy.crash) == 0)
        backtrace_describe(&autopsy.crash, &autopsy.backtrace);
    log_end(&autopsy);
    if (autopsy.culprit) {
        log_in_context(&autopsy, autopsy.culprit, log_crash);
        if (card_state(&child->cards, (size_t)(autopsy.culprit - child->cards.cards)) == CARD_RUNNING)
            dead = settle_culprit(&autopsy);
    }
    tell_neighbours(&autopsy);
    if (queue_keeper_reclaim(child->generation->keeper, child->consumer) < 0)
        weft_error("the jobs of a dead worker could not be given back: out of memory");
    return dead;
}
