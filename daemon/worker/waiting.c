#include "daemon/worker/waiting.h"

#include <errno.h>
#include <stdlib.h>

#include "context/time.h"

int waiting_add(struct waiting *waiting, struct job *record, const struct job_type *type)
{
    struct waiting_job *job = malloc(sizeof(*job));

    if (!job)
        return -ENOMEM;
    *job =
        (struct waiting_job){.previous = waiting->last, .record = record, .type = type, .since_us = time_steady_us()};
    if (waiting->last)
        waiting->last->next = job;
    else
        waiting->first = job;
    waiting->last = job;
    waiting->count++;
    return 0;
}

struct job *waiting_take(struct waiting *waiting, struct waiting_job *job)
{
    struct job *record = job->record;

    if (job->previous)
        job->previous->next = job->next;
    else
        waiting->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        waiting->last = job->previous;
    waiting->count--;
    free(job);
    return record;
}
