#include "handlers/active_jobs.h"

#include "handlers/attempt.h"

void living_init(struct living *living)
{
    *living = (struct living){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void living_add(struct living *living, struct weft_job *job)
{
    (void)pthread_mutex_lock(&living->lock);
    job->older = living->newest;
    if (job->older)
        job->older->newer = job;
    else
        living->oldest = job;
    living->newest = job;
    (void)pthread_mutex_unlock(&living->lock);
}

void living_remove(struct living *living, struct weft_job *job)
{
    (void)pthread_mutex_lock(&living->lock);
    if (job->older)
        job->older->newer = job->newer;
    else
        living->oldest = job->newer;
    if (job->newer)
        job->newer->older = job->older;
    else
        living->newest = job->older;
    (void)pthread_mutex_unlock(&living->lock);
}

int living_each(struct living *living, int (*visit)(const struct weft_job *job, void *arg), void *arg)
{
    int r = 0;

    (void)pthread_mutex_lock(&living->lock);
    for (const struct weft_job *job = living->oldest; job && r == 0; job = job->newer)
        r = visit(job, arg);
    (void)pthread_mutex_unlock(&living->lock);
    return r;
}
