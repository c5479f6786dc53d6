#include "handlers/active_jobs.h"

#include "handlers/attempt.h"

void active_jobs_init(struct active_jobs *active_jobs)
{
    *active_jobs = (struct active_jobs){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void active_jobs_add(struct active_jobs *active_jobs, struct weft_job *job)
{
    (void)pthread_mutex_lock(&active_jobs->lock);
    job->older = active_jobs->newest;
    if (job->older)
        job->older->newer = job;
    else
        active_jobs->oldest = job;
    active_jobs->newest = job;
    (void)pthread_mutex_unlock(&active_jobs->lock);
}

void active_jobs_remove(struct active_jobs *active_jobs, struct weft_job *job)
{
    (void)pthread_mutex_lock(&active_jobs->lock);
    if (job->older)
        job->older->newer = job->newer;
    else
        active_jobs->oldest = job->newer;
    if (job->newer)
        job->newer->older = job->older;
    else
        active_jobs->newest = job->older;
    (void)pthread_mutex_unlock(&active_jobs->lock);
}

int active_jobs_each(struct active_jobs *active_jobs, int (*visit)(const struct weft_job *job, void *arg), void *arg)
{
    int r = 0;

    (void)pthread_mutex_lock(&active_jobs->lock);
    for (const struct weft_job *job = active_jobs->oldest; job && r == 0; job = job->newer)
        r = visit(job, arg);
    (void)pthread_mutex_unlock(&active_jobs->lock);
    return r;
}
