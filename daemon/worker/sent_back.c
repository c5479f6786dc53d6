#include "daemon/worker/sent_back.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 4096 /* of a type; the rest comes due in its time */
#define NEW_MS   50

void sent_back_add(struct sent_back *sent_back, const struct job *record, const char *queue, int64_t now_ms,
                   int64_t due_ms)
{
    size_t id_size = strlen(record->id) + 1, entry_size = strlen(record->entry) + 1;
    struct sent_back_job *job;

    if (sent_back->count == 0)
        STAILQ_INIT(&sent_back->jobs);
    job = sent_back->count < JOBS_MAX ? malloc(sizeof(*job) + id_size + entry_size) : NULL;
    if (!job)
        return;
    memcpy(job->id, record->id, id_size);
    job->entry = memcpy(job->id + id_size, record->entry, entry_size);
    job->queue = queue;
    job->sent_ms = now_ms;
    job->due_ms = due_ms;
    STAILQ_INSERT_TAIL(&sent_back->jobs, job, next);
    sent_back->count++;
}

static struct sent_back_job *take_first(struct sent_back *sent_back)
{
    struct sent_back_job *job = STAILQ_FIRST(&sent_back->jobs);

    STAILQ_REMOVE_HEAD(&sent_back->jobs, next);
    sent_back->count--;
    return job;
}

struct sent_back_job *sent_back_take(struct sent_back *sent_back, int64_t now_ms)
{
    while (sent_back->count > 0) {
        const struct sent_back_job *first = STAILQ_FIRST(&sent_back->jobs);

        if (now_ms - first->sent_ms < NEW_MS && first->due_ms > now_ms)
            return NULL;
        struct sent_back_job *job = take_first(sent_back);
        if (job->due_ms > now_ms)
            return job;
        free(job);
    }
    return NULL;
}

void sent_back_done(struct sent_back *sent_back)
{
    while (sent_back->count > 0)
        free(take_first(sent_back));
}
