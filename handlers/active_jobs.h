/*
 * The living: all jobs that exist in this process, those among them that have been reported and live on in what they
 * have started. For whoever wants to show them.
 */
#pragma once

#include <pthread.h>

struct weft_job;

/* The lock is there because a job is freed on whichever thread lets go of its last context. */
struct living {
    pthread_mutex_t lock;
    struct weft_job *oldest, *newest;
};

void living_init(struct living *living);

/* The functions from here on may be called from any thread. */
void living_add(struct living *living, struct weft_job *job);
void living_remove(struct living *living, struct weft_job *job);

/* Calls `visit` for each job, the oldest first, until it gives non-zero, which is then given. None of them is freed
 * meanwhile, so `visit` must neither keep one nor let go of a context. */
int living_each(struct living *living, int (*visit)(const struct weft_job *job, void *arg), void *arg);
