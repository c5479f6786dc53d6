#include "queue/consumer/hasten.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "context/container.h"
#include "queue/redis/call.h"

#define JOBS_MAX 256 /* a script, which takes some microseconds for each */

struct hastened_job {
    STAILQ_ENTRY(hastened_job) next;
    char due[24];      /* the time, in ms */
    const char *entry; /* in `id`, behind that */
    char id[];
};

STAILQ_HEAD(hastened_jobs, hastened_job);

struct hasten_queue {
    struct hastened_jobs noted;
    struct hastened_jobs sent; /* until Redis answers */
};

struct hasten {
    struct queue_calls calls;
    bool idle; /* nothing is noted */
    struct hasten_queue queues[];
};

static void forget_jobs(struct hastened_jobs *jobs)
{
    while (!STAILQ_EMPTY(jobs)) {
        struct hastened_job *job = STAILQ_FIRST(jobs);

        STAILQ_REMOVE_HEAD(jobs, next);
        free(job);
    }
}

static void write_jobs(const struct queue_calls *calls, size_t queue, struct command *command)
{
    const struct hasten *hasten = container_of(calls, struct hasten, calls);
    const struct hastened_job *job;

    STAILQ_FOREACH (job, &hasten->queues[queue].sent, next) {
        command_add_text(command, job->id);
        command_add_text(command, job->entry);
        command_add_text(command, job->due);
    }
}

/* What Redis does not hasten comes due in its time. */
static void on_hastened(struct queue_calls *calls, size_t queue, const redisReply *reply)
{
    struct hasten *hasten = container_of(calls, struct hasten, calls);

    forget_jobs(&hasten->queues[queue].sent);
    if (reply)
        hasten_flush(hasten);
}

static const struct queue_calls_kind hasten_calls = {
    .script = &queue_script_hasten, .write = write_jobs, .done = on_hastened};

static void flush_queue(struct hasten *hasten, size_t queue)
{
    struct hasten_queue *jobs = &hasten->queues[queue];

    if (STAILQ_EMPTY(&jobs->noted))
        return;
    if (queue_calls_is_under_way(&hasten->calls, queue)) {
        hasten->idle = false;
        return;
    }
    for (int i = 0; i < JOBS_MAX && !STAILQ_EMPTY(&jobs->noted); i++) {
        struct hastened_job *job = STAILQ_FIRST(&jobs->noted);

        STAILQ_REMOVE_HEAD(&jobs->noted, next);
        STAILQ_INSERT_TAIL(&jobs->sent, job, next);
    }
    if (queue_calls_send(&hasten->calls, queue) < 0) {
        forget_jobs(&jobs->sent);
        forget_jobs(&jobs->noted);
    }
    if (!STAILQ_EMPTY(&jobs->noted))
        hasten->idle = false;
}

void hasten_flush(struct hasten *hasten)
{
    if (hasten->idle)
        return;
    hasten->idle = true;
    for (size_t i = 0; i < hasten->calls.link.options->queue_count; i++)
        flush_queue(hasten, i);
}

int hasten_add(struct hasten *hasten, size_t queue, const char *id, const char *entry, int64_t due_ms)
{
    size_t id_size = strlen(id) + 1, entry_size = strlen(entry) + 1;
    struct hastened_job *job = malloc(sizeof(*job) + id_size + entry_size);

    if (!job)
        return -ENOMEM;
    memcpy(job->id, id, id_size);
    job->entry = memcpy(job->id + id_size, entry, entry_size);
    (void)snprintf(job->due, sizeof(job->due), "%" PRId64, due_ms);
    STAILQ_INSERT_TAIL(&hasten->queues[queue].noted, job, next);
    hasten->idle = false;
    return 0;
}

int hasten_new(const struct queue_link *link, struct hasten **ret_hasten)
{
    size_t count = link->options->queue_count;
    struct hasten *hasten = calloc(1, sizeof(*hasten) + count * sizeof(hasten->queues[0]));

    if (!hasten)
        return -ENOMEM;
    hasten->idle = true;
    for (size_t i = 0; i < count; i++) {
        STAILQ_INIT(&hasten->queues[i].noted);
        STAILQ_INIT(&hasten->queues[i].sent);
    }
    int r = queue_calls_init(&hasten->calls, link, &hasten_calls);
    if (r < 0) {
        free(hasten);
        return r;
    }
    *ret_hasten = hasten;
    return 0;
}

struct hasten *hasten_free(struct hasten *hasten)
{
    if (!hasten)
        return NULL;
    for (size_t i = 0; i < hasten->calls.link.options->queue_count; i++) {
        forget_jobs(&hasten->queues[i].noted);
        forget_jobs(&hasten->queues[i].sent);
    }
    queue_calls_done(&hasten->calls);
    free(hasten);
    return NULL;
}
