/*
 * The worker pool: a node's workers. Starts them, starts again those that end, and replaces them one by one: by workers
 * of the present generation after a reload, or by fresh ones when they are to be recycled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "daemon/supervisor/worker_process.h"

struct worker_pool_events {
    /* The process has ended: the lines about that, and giving back its jobs, are the receiver's. Also when that was
     * expected. */
    void (*ended)(struct worker_process *worker, bool expected, void *user);
};

/* What all workers that have ended did, and left behind. */
struct worker_pool_totals {
    uint64_t jobs_done;
    uint64_t jobs_failed;
    long live_contexts;
    long live_tasks;
    long live_jobs;
};

struct worker_pool {
    struct event_base *base;
    worker_run_fn *run; /* what workers run */
    const struct worker_pool_events *events;
    void *user;
    struct generation *generation;                   /* the present one; a reference */
    TAILQ_HEAD(worker_list, worker_process) workers; /* in the order of their lives */
    struct worker_pool_totals totals;
    bool stopping;      /* nobody is started any more */
    int64_t hurried_us; /* when worker_pool_hurry() was called; 0: not yet */
};

/* Starts as many workers of `generation` as its configuration says. `base` is the supervisor's loop. Errors: -ENOMEM;
 * those of single workers are logged, and they are tried again. */
int worker_pool_start(struct worker_pool *pool, struct generation *generation) MUST_CHECK;

/* Makes another generation the present one; worker_pool_tend() then replaces the workers. */
void worker_pool_change(struct worker_pool *pool, struct generation *generation);

/* Goes back to `generation`, whose workers still run: those of the present one end. */
void worker_pool_change_back(struct worker_pool *pool, struct generation *generation);

/* To be called a few times a second: starts who is due, and takes replacements a step further. */
void worker_pool_tend(struct worker_pool *pool);

/* Whether as many workers as there are to be are ready, all of them of the present generation, and none that is to end
 * takes jobs any more. */
bool worker_pool_is_complete(const struct worker_pool *pool);

/* Whether a worker of the present generation has been ready. */
bool worker_pool_has_ready(const struct worker_pool *pool);

/* To be told about each child of this process that has ended; gives whether it was a worker. */
bool worker_pool_process_ended(struct worker_pool *pool, pid_t pid, int status);

/* Tells all workers to finish what runs and end, and starts nobody any more. */
void worker_pool_stop(struct worker_pool *pool);

/* The same, but what runs is interrupted, and killed soon. */
void worker_pool_hurry(struct worker_pool *pool);

/* After a rotation: has the workers, and what is left of earlier ones, write into the files that have the names of the
 * log's now. */
void worker_pool_reopen_logs(const struct worker_pool *pool);

/* Processes that run. */
size_t worker_pool_running(const struct worker_pool *pool);

/* Whether there are workers that have ended and whose lines are not all written, or whose jobs are not all given back.
 */
bool worker_pool_has_remains(const struct worker_pool *pool);

void worker_pool_done(struct worker_pool *pool);
