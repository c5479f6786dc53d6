/*
 * Active jobs: all jobs that exist in this process, those among them that have been reported and live on in what they
 * have started. For whoever wants to show them.
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

struct weft_job;

/* The lock is there because a job is freed on whichever thread lets go of its last context. */
struct active_jobs {
    pthread_mutex_t lock;
    TAILQ_HEAD(, weft_job) jobs; /* the oldest first */
};

void active_jobs_init(struct active_jobs *active_jobs);

/* The functions from here on may be called from any thread. */
void active_jobs_add(struct active_jobs *active_jobs, struct weft_job *job);
void active_jobs_remove(struct active_jobs *active_jobs, struct weft_job *job);

/* Calls `visit` for each job, the oldest first, until it gives non-zero, which is then given. None of them is freed
 * meanwhile, so `visit` must neither keep one nor let go of a context. */
int active_jobs_each(struct active_jobs *active_jobs, int (*visit)(const struct weft_job *job, void *arg), void *arg);
