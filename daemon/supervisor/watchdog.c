#include "daemon/supervisor/watchdog.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/time.h"
#include "daemon/process.h"

#define SECOND_US INT64_C(1000000)

/* A loop that has not turned for so long stands still. */
#define STILL_US SECOND_US

/* How long a job may go on after its time-out, for its cleanups; and a worker after it was told to abort. */
#define OVERDUE_GRACE_US (3 * SECOND_US)
#define ABORT_GRACE_US   SECOND_US

/* Plugins may take their time to start, but not for ever. */
#define READY_LIMIT_US (60 * SECOND_US)

/* ---- Ending ---- */

/* SIGABRT first: its handler notes whose code was running, and leaves a core where those are wanted. */
static void end_worker(struct worker_process *worker, enum worker_fault fault, uintptr_t culprit, const char *why)
{
    worker->watchdog.fault = fault;
    worker->watchdog.culprit = culprit;
    worker->watchdog.aborted_us = time_steady_us();
    weft_log_with(WEFT_ERROR, "ending a worker", WEFT_INT("worker", worker->number),
                  WEFT_INT("worker_pid", worker->pid), WEFT_TEXT("error", why));
    (void)kill(worker->pid, SIGABRT);
    /* One that was stopped obeys nothing but SIGKILL, until it is continued. */
    (void)kill(worker->pid, SIGCONT);
}

/* ---- Who is running ---- */

/* Whether somebody has stopped it, as SIGSTOP does: then no job is to blame. */
static bool is_stopped(pid_t pid)
{
    char path[64], state = '?';

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    /* The name in parentheses is ours, and has no blanks. */
    if (fscanf(file, "%*s %*s %c", &state) != 1)
        state = '?';
    (void)fclose(file);
    return state == 'T';
}

/* Adds the time since the last look to the run that has gone on since then. A look at which weft itself kept the code
 * waiting, as for a log, adds nothing and ends nothing. */
static void look_at_run(struct worker_process *worker, int64_t since_us)
{
    const struct crash_record *record = &worker->slot->crash;
    struct child_run *run = &worker->watchdog.run;
    uintptr_t turns = atomic_load(&record->turns), job = atomic_load(&record->running_job);

    if (turns != run->turns || (job != 0 && job != run->job))
        *run = (struct child_run){.job = job, .turns = turns};
    else if (job != 0)
        run->seen_us += since_us;
    if (run->seen_us >= STILL_US && is_stopped(worker->pid))
        run->seen_us = 0;
}

/* ---- Standing still ---- */

/* Before its lease is over, so that no other node runs its jobs while this one might go on. Whose code has been running
 * for most of the time is to blame; the code that happens to be running at the moment is not. */
static bool look_at_stall(struct worker_process *worker, int64_t still_us)
{
    int64_t limit_us = worker->generation->config->lease_ms * 1000 / 4 * 3;
    const struct child_run *run = &worker->watchdog.run;
    char why[128];

    if (still_us < limit_us || still_us < STILL_US)
        return false;
    bool stopped = is_stopped(worker->pid);
    uintptr_t culprit = !stopped && run->seen_us >= still_us / 2 ? run->job : 0;
    (void)snprintf(why, sizeof(why), "its loop has not turned for %" PRId64 " s%s", still_us / SECOND_US,
                   stopped ? ", since somebody has stopped the process" : "");
    end_worker(worker, stopped ? WORKER_FROZEN : WORKER_STALLED, culprit, why);
    return true;
}

/* ---- Going on after the time-out ---- */

/* A job had its time to obey only since the loop turned to it: since it was resumed for the run that still goes on, or
 * since it was told while the loop turns. Whoever waits for a loop that others keep cannot obey. A call that does not
 * return is given up by the worker first: see look_at(). */
static bool is_overdue(const struct worker_process *worker, const struct job_slot *job_slot, int64_t now_us, bool still)
{
    int64_t deadline_us = atomic_load(&job_slot->deadline_us), heard_us = atomic_load(&job_slot->heard_us);

    if (heard_us > 0 && heard_us < worker->watchdog.waited_us)
        heard_us = worker->watchdog.waited_us;
    uintptr_t identity = atomic_load(&job_slot->running_job);

    if (deadline_us == 0 || identity == 0 || now_us - deadline_us - worker->watchdog.waited_for_us < OVERDUE_GRACE_US)
        return false;
    if (worker->watchdog.run.job == identity && worker->watchdog.run.seen_us >= OVERDUE_GRACE_US)
        return true;
    return !still && heard_us > 0 && now_us - heard_us >= 2 * OVERDUE_GRACE_US;
}

static bool look_at_jobs(struct worker_process *worker, int64_t now_us, bool still)
{
    for (size_t i = 0; i < worker->job_slots.capacity; i++) {
        const struct job_slot *job_slot = &worker->job_slots.job_slots[i];

        if (job_slot_state(&worker->job_slots, i) != JOB_SLOT_RUNNING || !is_overdue(worker, job_slot, now_us, still))
            continue;
        end_worker(worker, WORKER_OVERDUE, atomic_load(&job_slot->running_job), "a job goes on after its time-out");
        return true;
    }
    return false;
}

/* ---- Memory ---- */

/* A job that keeps the CPU from one look to the next while its worker is too large is the one that eats. Where nobody
 * does, the worker has grown over time: it is replaced when its jobs have ended. */
static void look_at_memory(struct worker_process *worker)
{
    int64_t limit = worker->generation->config->max_rss;
    int64_t rss = limit > 0 ? (int64_t)process_resident_bytes(worker->pid) : 0;
    bool was_large = worker->watchdog.was_large;

    worker->watchdog.was_large = rss > limit;
    if (limit == 0 || rss <= limit)
        return;
    if (was_large && worker->watchdog.run.seen_us > 0) {
        end_worker(worker, WORKER_TOO_LARGE, worker->watchdog.run.job,
                   "a job uses up more memory than \"max_rss\" allows");
        return;
    }
    if (!worker->recycle)
        weft_log_with(WEFT_WARN, "a worker has grown larger than \"max_rss\" and is replaced",
                      WEFT_INT("worker", worker->number), WEFT_INT("worker_pid", worker->pid),
                      WEFT_INT("rss_mib", rss / (1024 * 1024)));
    worker->recycle = true;
    if (rss > limit * 2)
        end_worker(worker, WORKER_TOO_LARGE, 0, "it has grown to twice what \"max_rss\" allows");
}

/* ---- */

/* Until when it is no fault that nothing was heard: this process had been stopped, or the worker had waited for the
 * log.
 */
static int64_t excused_until_us(const struct watchdog *watchdog, const struct worker_process *worker)
{
    return worker->watchdog.waited_us > watchdog->resumed_us ? worker->watchdog.waited_us : watchdog->resumed_us;
}

/* Whoever stood still with the supervisor, when the whole host did, cannot be blamed for it. */
static void look_at(const struct watchdog *watchdog, struct worker_process *worker, int64_t now_us, int64_t since_us)
{
    int64_t heartbeat_us = atomic_load(&worker->slot->heartbeat_us);
    bool waits = atomic_load(&worker->slot->log_waits) > 0;

    /* Whoever reads the log keeps it, and with "block" is meant to: time that is nobody's here either. */
    if (waits) {
        worker->watchdog.waited_us = now_us;
        worker->watchdog.waited_for_us += since_us;
    }
    int64_t excused_us = excused_until_us(watchdog, worker);
    int64_t heard_us = heartbeat_us > excused_us ? heartbeat_us : excused_us;
    int64_t still_us = heartbeat_us > 0 ? now_us - heard_us : 0;
    bool still = still_us > STILL_US || heartbeat_us == 0 || heartbeat_us < excused_us;

    if (worker->watchdog.fault != WORKER_NO_FAULT) {
        if (!worker->killed && now_us - worker->watchdog.aborted_us >= ABORT_GRACE_US) {
            weft_debug("worker %zu (process %d) does not abort and is killed", worker->number, (int)worker->pid);
            worker->killed = true;
            (void)kill(worker->pid, SIGKILL);
        }
        return;
    }
    if (worker->state == WORKER_STARTING && now_us - worker->started_us > READY_LIMIT_US) {
        end_worker(worker, WORKER_NEVER_READY, 0, "it has not become ready within a minute");
        return;
    }
    look_at_run(worker, since_us);
    if (!look_at_stall(worker, still_us) && !look_at_jobs(worker, now_us, still))
        look_at_memory(worker);
    /* The worker has charged the job whose call does not return, and goes on with the others; but it will not get rid
     * of the thread. */
    if (worker->recycle || atomic_load(&worker->slot->offload_abandoned_total) == 0)
        return;
    weft_log_with(WEFT_WARN, "a worker has a call that does not return and is replaced",
                  WEFT_INT("worker", worker->number), WEFT_INT("worker_pid", worker->pid));
    worker->recycle = true;
}

void watchdog_check(struct watchdog *watchdog, const struct worker_pool *pool)
{
    int64_t now_us = time_steady_us();
    int64_t since_us = watchdog->looked_us > 0 ? now_us - watchdog->looked_us : 0;
    struct worker_process *worker;

    if (since_us > STILL_US) {
        weft_debug("the supervisor has stood still for %" PRId64 " ms; no worker is blamed for that time",
                   since_us / 1000);
        watchdog->resumed_us = now_us;
        since_us = 0;
    }
    watchdog->looked_us = now_us;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker_process_runs(worker))
            look_at(watchdog, worker, now_us, since_us);
}

bool watchdog_is_in_control(const struct watchdog *watchdog, const struct worker_pool *pool)
{
    int64_t now_us = time_steady_us();
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry) {
        int64_t heartbeat_us = worker_process_runs(worker) ? atomic_load(&worker->slot->heartbeat_us) : 0;
        int64_t excused_us = excused_until_us(watchdog, worker);
        int64_t heard_us = heartbeat_us > excused_us ? heartbeat_us : excused_us;

        /* Longer than a worker is let stand still, and than its end then takes. */
        int64_t limit_us = worker->generation->config->lease_ms * 1000 + 10 * SECOND_US;

        if (heartbeat_us > 0 && now_us - heard_us > limit_us)
            return false;
    }
    return true;
}
