#include "handlers/active_jobs.h"

#include "context/lock.h"
#include "handlers/attempt.h"

void active_jobs_init(struct active_jobs *active_jobs)
{
    *active_jobs = (struct active_jobs){.lock = PTHREAD_MUTEX_INITIALIZER};
    TAILQ_INIT(&active_jobs->jobs);
}

void active_jobs_add(struct active_jobs *active_jobs, struct weft_job *job)
{
    lock_take(&active_jobs->lock);
    TAILQ_INSERT_TAIL(&active_jobs->jobs, job, among_active);
    lock_give(&active_jobs->lock);
}

void active_jobs_remove(struct active_jobs *active_jobs, struct weft_job *job)
{
    lock_take(&active_jobs->lock);
    TAILQ_REMOVE(&active_jobs->jobs, job, among_active);
    lock_give(&active_jobs->lock);
}

int active_jobs_each(struct active_jobs *active_jobs, int (*visit)(const struct weft_job *job, void *arg), void *arg)
{
    const struct weft_job *job;
    int r = 0;

    lock_take(&active_jobs->lock);
    TAILQ_FOREACH (job, &active_jobs->jobs, among_active) {
        r = visit(job, arg);
        if (r != 0)
            break;
    }
    lock_give(&active_jobs->lock);
    return r;
}
