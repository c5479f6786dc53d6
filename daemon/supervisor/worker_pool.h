/*
 * The crew: a node's workers. Starts them, starts again those that end, and replaces them one by one: by workers of the
 * present generation after a reload, or by fresh ones when they are worn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "daemon/supervisor/worker_process.h"

struct crew_events {
    /* The process has ended: the lines about that, and giving back its jobs, are the receiver's. Also when that was
     * expected. */
    void (*ended)(struct child *child, bool expected, void *user);
};

/* What all workers that have ended did, and left behind. */
struct crew_totals {
    uint64_t jobs_done;
    uint64_t jobs_failed;
    long live_contexts;
    long live_tasks;
    long live_jobs;
};

struct crew {
    struct event_base *base;
    const struct crew_events *events;
    void *user;
    struct generation *generation; /* the present one; a reference */
    struct child *children;
    struct crew_totals totals;
    bool stopping;      /* nobody is started any more */
    int64_t hurried_us; /* when crew_hurry() was called; 0: not yet */
};

/* Starts as many workers of `generation` as its configuration says. `base` is the supervisor's loop. Errors: -ENOMEM;
 * those of single workers are logged, and they are tried again. */
int crew_start(struct crew *crew, struct generation *generation) MUST_CHECK;

/* Makes another generation the present one; crew_tend() then replaces the workers. */
void crew_change(struct crew *crew, struct generation *generation);

/* Goes back to `generation`, whose workers still run: those of the present one end. */
void crew_change_back(struct crew *crew, struct generation *generation);

/* To be called a few times a second: starts who is due, and takes replacements a step further. */
void crew_tend(struct crew *crew);

/* Whether as many workers as there are to be are ready, and all of them are of the present generation. */
bool crew_is_complete(const struct crew *crew);

/* Whether a worker of the present generation has been ready. */
bool crew_has_ready(const struct crew *crew);

/* To be told about each child of this process that has ended; gives whether it was a worker. */
bool crew_child_ended(struct crew *crew, pid_t pid, int status);

/* Tells all workers to finish what runs and end, and starts nobody any more. */
void crew_stop(struct crew *crew);

/* The same, but what runs is interrupted, and killed soon. */
void crew_hurry(struct crew *crew);

/* After a rotation: has the workers, and what is left of earlier ones, write into the files that have the names of the
 * log's now. */
void crew_reopen_logs(const struct crew *crew);

/* Processes that run. */
size_t crew_running(const struct crew *crew);

/* Whether there are workers that have ended and whose lines are not all written, or whose jobs are not all given back.
 */
bool crew_has_remains(const struct crew *crew);

void crew_done(struct crew *crew);
