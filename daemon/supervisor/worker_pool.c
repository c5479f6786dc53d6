#include "daemon/supervisor/worker_pool.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <weft/log.h>

#include "context/time.h"

/* After a fork that failed. */
#define FORK_AGAIN_US INT64_C(1000000)

/* Beyond `shutdown_timeout`, for workers to clean up and settle; then they are killed. */
#define STOP_GRACE_US (4 * INT64_C(1000000))

/* ---- Who is who ---- */

static bool is_present(const struct worker_pool *pool, const struct worker_process *worker)
{
    return worker->generation == pool->generation;
}

/* Of those that count: it runs, or will, and is to stay. */
static bool is_fresh(const struct worker_pool *pool, const struct worker_process *worker)
{
    return is_present(pool, worker) && !worker->recycle &&
           (worker->state == WORKER_WAITING || worker->state == WORKER_STARTING || worker->state == WORKER_READY);
}

static size_t count_fresh(const struct worker_pool *pool)
{
    const struct worker_process *worker;
    size_t count = 0;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        count += is_fresh(pool, worker);
    return count;
}

static bool somebody_arrives(const struct worker_pool *pool)
{
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (is_fresh(pool, worker) && worker->state != WORKER_READY)
            return true;
    return false;
}

/* It was told to end, and may still start a job until it has read that. */
static bool somebody_lingers(const struct worker_pool *pool)
{
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker->state == WORKER_RETIRING && atomic_load(&worker->slot->ready) &&
            !atomic_load(&worker->slot->leaving))
            return true;
    return false;
}

static struct worker_process *find_worker_to_recycle(const struct worker_pool *pool)
{
    struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if ((!is_present(pool, worker) || worker->recycle) &&
            (worker->state == WORKER_STARTING || worker->state == WORKER_READY || worker->state == WORKER_WAITING))
            return worker;
    return NULL;
}

/* ---- Starting ---- */

static int add_new(struct worker_pool *pool, struct generation *generation, size_t number, int64_t start_at_us,
                   struct worker_process **ret_worker)
{
    int r = worker_process_new(generation, number, start_at_us, ret_worker);

    if (r == 0)
        TAILQ_INSERT_TAIL(&pool->workers, *ret_worker, entry);
    return r;
}

static void start_due(struct worker_pool *pool)
{
    int64_t now = time_steady_us();
    struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry) {
        if (worker->state != WORKER_WAITING || worker->start_at_us > now)
            continue;
        int r = worker_process_start(worker, pool->base, pool->run);
        if (r == 0)
            continue;
        weft_log_with(WEFT_ERROR, "a worker could not be started and is tried again",
                      WEFT_INT("worker", worker->number), WEFT_TEXT("error", strerror(-r)));
        worker->start_at_us = now + FORK_AGAIN_US;
    }
}

int worker_pool_start(struct worker_pool *pool, struct generation *generation)
{
    struct worker_process *worker;
    int r = 0;

    assert(!pool->generation && !pool->stopping);
    TAILQ_INIT(&pool->workers);
    pool->generation = generation_ref(generation);
    for (size_t i = 1; i <= generation->config->workers && r == 0; i++)
        r = add_new(pool, generation, i, 0, &worker);
    start_due(pool);
    return r;
}

/* ---- Replacing ---- */

static void remove_worker(struct worker_pool *pool, struct worker_process *worker)
{
    struct worker_process *other;

    TAILQ_FOREACH (other, &pool->workers, entry)
        if (other->replaces == worker)
            other->replaces = NULL;
    TAILQ_REMOVE(&pool->workers, worker, entry);
    (void)worker_process_free(worker);
}

/* One that does not run yet just goes. */
static void retire(struct worker_pool *pool, struct worker_process *worker)
{
    if (worker->state == WORKER_WAITING)
        remove_worker(pool, worker);
    else
        worker_process_retire(worker);
}

/* One at a time: the next one starts when the last one is ready, so that all but one of the workers are always there.
 */
static void replace_next(struct worker_pool *pool)
{
    struct worker_process *recycle = find_worker_to_recycle(pool), *worker;
    size_t fresh = count_fresh(pool), wanted = pool->generation->config->workers;

    if (somebody_arrives(pool) || (!recycle && fresh >= wanted))
        return;
    if (fresh >= wanted) {
        retire(pool, recycle);
        return;
    }
    /* The smallest number that nobody has who is to stay. */
    size_t number = 1;
    for (const struct worker_process *other = TAILQ_FIRST(&pool->workers); other;) {
        bool taken = is_fresh(pool, other) && other->number == number;

        number += taken;
        other = taken ? TAILQ_FIRST(&pool->workers) : TAILQ_NEXT(other, entry);
    }
    if (add_new(pool, pool->generation, number, 0, &worker) < 0) {
        weft_error("a worker could not be started: out of memory");
        return;
    }
    worker->replaces = recycle;
    start_due(pool);
}

void worker_pool_change(struct worker_pool *pool, struct generation *generation)
{
    struct generation *old = pool->generation;

    assert(old && generation != old);
    weft_debug("workers are to run generation %u instead of %u", generation->number, old->number);
    pool->generation = generation_ref(generation);
    (void)generation_unref(old);
}

void worker_pool_change_back(struct worker_pool *pool, struct generation *generation)
{
    struct generation *refused = pool->generation;

    for (struct worker_process *worker = TAILQ_FIRST(&pool->workers), *next; worker; worker = next) {
        next = TAILQ_NEXT(worker, entry);
        if (worker->generation != refused)
            continue;
        /* Nor is one that has ended followed by another. */
        worker->recycle = true;
        if (worker->state != WORKER_ENDED)
            retire(pool, worker);
    }
    worker_pool_change(pool, generation);
}

/* ---- Ending ---- */

/* How long the supervisor, which has others to look after, waits for an output that takes such lines: in all, and from
 * one bit to the next. */
static const struct log_output_patience between_others = {.step_us = 5 * 1000, .limit_us = 30 * 1000};

/* At the end, when nothing else is left to do, for all of them. */
static const struct log_output_patience at_the_end = {.step_us = 5 * 1000 * 1000, .limit_us = 20 * 1000 * 1000};
enum { LAST_RETRY_MS = 5 };

static void give_up_lines(const struct worker_process *worker)
{
    size_t lines = log_output_discard_left(worker->generation->output, worker->log_buffers);

    if (lines > 0)
        weft_log_with(WEFT_ERROR, "log lines of a worker that has ended were lost: no output took them",
                      WEFT_INT("worker", worker->number), WEFT_INT("worker_pid", worker->pid),
                      WEFT_INT("lines", lines));
}

/* Of workers that are gone, the lines of so many may wait for an output that takes nothing: however often workers die
 * and configurations come, no more of what belonged to them is kept, but for the one that has begun a line. */
enum { LEFT_MAX = 8 };

/* Lines that an output does not take now are kept until it does, and the maintenance until it has given back the jobs.
 */
static void bury(struct worker_pool *pool)
{
    size_t left = 0;

    for (struct worker_process *worker = TAILQ_FIRST(&pool->workers), *next; worker; worker = next) {
        next = TAILQ_NEXT(worker, entry);
        if (worker->state != WORKER_ENDED)
            continue;
        if (log_output_write_left(worker->generation->output, worker->log_buffers, &between_others) > 0 &&
            (++left <= LEFT_MAX || log_output_has_begun(worker->generation->output, worker->log_buffers)))
            continue;
        give_up_lines(worker);
        if (maintenance_is_idle(worker->generation->maintenance))
            remove_worker(pool, worker);
    }
}

/* One that was to stay is followed by another of its generation. */
static void start_successor(struct worker_pool *pool, struct worker_process *worker)
{
    int64_t backoff_us;
    int64_t start_at_us = worker_process_next_start_us(worker, &backoff_us);
    struct worker_process *successor;

    if (add_new(pool, worker->generation, worker->number, start_at_us, &successor) < 0) {
        weft_error("a worker could not be started: out of memory");
        return;
    }
    weft_log_with(WEFT_INFO, "a worker will be started again", WEFT_INT("worker", worker->number),
                  WEFT_INT("in_ms", (start_at_us - time_steady_us() + 999) / 1000));
    successor->backoff_us = backoff_us;
    successor->replaces = worker->replaces;
}

bool worker_pool_process_ended(struct worker_pool *pool, pid_t pid, int status)
{
    struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker_process_runs(worker) && worker->pid == pid)
            break;
    if (!worker)
        return false;

    const struct scoreboard_slot *slot = worker->slot;
    bool expected = worker->state == WORKER_RETIRING;
    worker_process_set_state(worker, WORKER_ENDED);
    worker->status = status;
    pool->totals.jobs_done += atomic_load(&slot->jobs_done);
    pool->totals.jobs_failed += atomic_load(&slot->jobs_failed);
    pool->totals.live_contexts += atomic_load(&slot->live_contexts);
    pool->totals.live_tasks += atomic_load(&slot->live_tasks);
    pool->totals.live_jobs += atomic_load(&slot->live_jobs);
    (void)log_output_write_left(worker->generation->output, worker->log_buffers, &(struct log_output_patience){0});
    pool->events->ended(worker, expected, pool->user);
    if (!expected && !pool->stopping && !worker->recycle)
        start_successor(pool, worker);
    worker->replaces = NULL;
    bury(pool);
    return true;
}

void worker_pool_stop(struct worker_pool *pool)
{
    pool->stopping = true;
    weft_debug("workers are to finish what runs and end");
    for (struct worker_process *worker = TAILQ_FIRST(&pool->workers), *next; worker; worker = next) {
        next = TAILQ_NEXT(worker, entry);
        if (worker->state != WORKER_ENDED)
            retire(pool, worker);
    }
}

void worker_pool_hurry(struct worker_pool *pool)
{
    const struct worker_process *worker;

    pool->hurried_us = time_steady_us();
    weft_debug("workers are to interrupt what runs and end");
    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker_process_runs(worker))
            (void)kill(worker->pid, SIGQUIT);
}

/* Each process has descriptors of its own. */
void worker_pool_reopen_logs(const struct worker_pool *pool)
{
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry) {
        if (!is_present(pool, worker))
            log_output_reopen(worker->generation->output);
        if (worker_process_runs(worker))
            (void)kill(worker->pid, SIGUSR1);
    }
}

static void kill_late(const struct worker_pool *pool)
{
    int64_t now_us = time_steady_us();
    bool hurried_late = pool->hurried_us > 0 && now_us - pool->hurried_us > STOP_GRACE_US;
    struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry) {
        int64_t limit_us = worker->generation->config->shutdown_timeout_ms * 1000 + STOP_GRACE_US;

        if (worker->state != WORKER_RETIRING || worker->killed ||
            (now_us - worker->retired_us <= limit_us && !hurried_late))
            continue;
        weft_log_with(WEFT_ERROR, "killing a worker that does not end", WEFT_INT("worker", worker->number),
                      WEFT_INT("worker_pid", worker->pid));
        worker->killed = true;
        worker->watchdog.fault = WORKER_LATE;
        (void)kill(worker->pid, SIGKILL);
    }
}

/* ---- Looking ---- */

void worker_pool_tend(struct worker_pool *pool)
{
    struct worker_process *worker;

    bury(pool);
    kill_late(pool);
    if (pool->stopping || !pool->generation)
        return;
    start_due(pool);
    TAILQ_FOREACH (worker, &pool->workers, entry) {
        if (worker->state != WORKER_STARTING || !atomic_load(&worker->slot->ready))
            continue;
        worker_process_set_state(worker, WORKER_READY);
        if (worker->replaces)
            worker_process_retire(worker->replaces);
        worker->replaces = NULL;
    }
    replace_next(pool);
}

bool worker_pool_is_complete(const struct worker_pool *pool)
{
    return pool->generation && !find_worker_to_recycle(pool) && !somebody_arrives(pool) && !somebody_lingers(pool) &&
           count_fresh(pool) >= pool->generation->config->workers;
}

bool worker_pool_has_ready(const struct worker_pool *pool)
{
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (is_present(pool, worker) && worker->state == WORKER_READY)
            return true;
    return false;
}

size_t worker_pool_running(const struct worker_pool *pool)
{
    const struct worker_process *worker;
    size_t running = 0;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        running += worker_process_runs(worker);
    return running;
}

bool worker_pool_has_remains(const struct worker_pool *pool)
{
    const struct worker_process *worker;

    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker->state == WORKER_ENDED)
            return true;
    return false;
}

/* What nobody takes is kept as long as this says; where no line is to be lost, a reader gets all the time that it
 * takes. */
static bool is_out_of_patience(const struct worker_pool *pool, int64_t began_us, int64_t progress_us)
{
    bool may_wait = pool->generation && pool->generation->config->log.when_full == CONFIG_LOG_BLOCK;
    int64_t now_us = time_steady_us();

    return now_us - progress_us >= at_the_end.step_us || (!may_wait && now_us - began_us >= at_the_end.limit_us);
}

void worker_pool_done(struct worker_pool *pool)
{
    int64_t began_us = time_steady_us(), progress_us = began_us;
    size_t before = SIZE_MAX;

    /* Whoever has begun a line, a worker or this process, has to end it before the others can go on. */
    while (!TAILQ_EMPTY(&pool->workers)) {
        size_t left = 0;

        log_output_tend();
        for (struct worker_process *worker = TAILQ_FIRST(&pool->workers), *next; worker; worker = next) {
            size_t bytes = log_output_write_left(worker->generation->output, worker->log_buffers, &between_others);

            next = TAILQ_NEXT(worker, entry);
            left += bytes;
            if (bytes == 0)
                remove_worker(pool, worker);
        }
        if (left < before)
            progress_us = time_steady_us();
        else
            (void)poll(NULL, 0, LAST_RETRY_MS);
        before = left;
        if (is_out_of_patience(pool, began_us, progress_us))
            break;
    }
    while (!TAILQ_EMPTY(&pool->workers)) {
        give_up_lines(TAILQ_FIRST(&pool->workers));
        remove_worker(pool, TAILQ_FIRST(&pool->workers));
    }
    pool->generation = generation_unref(pool->generation);
}
