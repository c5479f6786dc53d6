#include "queue/consumer/uniqueness.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "context/container.h"
#include "context/job.h"
#include "queue/redis/call.h"
#include "queue/redis/health.h"

#define JOBS_MAX 128 /* a script, which takes some microseconds for each */
#define REST_S   1   /* after Redis has refused */

struct asking_job {
    STAILQ_ENTRY(asking_job) next;
    struct job *job;
    char unique_for[24];
};

STAILQ_HEAD(asking_jobs, asking_job);

struct uniqueness_queue {
    struct asking_jobs waiting;
    struct asking_jobs sent; /* until Redis answers */
    struct health_subject health;
    bool resting;
};

struct uniqueness {
    struct queue_calls calls;
    const struct uniqueness_events *events;
    void *user;
    size_t count; /* of jobs */
    struct event *timer;
    struct uniqueness_queue queues[];
};

/* Answers are only given when the list is not looked at: the events may ask for more. */
static struct job *take_first(struct uniqueness *uniqueness, struct asking_jobs *jobs)
{
    struct asking_job *first = STAILQ_FIRST(jobs);
    struct job *job = first->job;

    STAILQ_REMOVE_HEAD(jobs, next);
    free(first);
    uniqueness->count--;
    return job;
}

/* ---- Replies ---- */

static void ask_again(struct uniqueness_queue *queue)
{
    STAILQ_CONCAT(&queue->sent, &queue->waiting);
    STAILQ_CONCAT(&queue->waiting, &queue->sent);
}

/* Those that have been refused come after the others the next time, so that nobody waits for ever behind them. */
static void refuse(struct uniqueness *uniqueness, size_t number, const char *problem)
{
    struct uniqueness_queue *queue = &uniqueness->queues[number];

    queue->resting = true;
    if (!event_pending(uniqueness->timer, EV_TIMEOUT, NULL))
        event_add(uniqueness->timer, &(struct timeval){.tv_sec = REST_S});
    health_set_problem(&queue->health,
                       "did not say whether jobs of queue %s have their unique keys: %s; it is asked each second",
                       uniqueness->calls.link.keys[number].queue, problem);
}

static void on_reply(struct queue_calls *calls, size_t number, const redisReply *reply)
{
    struct uniqueness *uniqueness = container_of(calls, struct uniqueness, calls);
    struct uniqueness_queue *queue = &uniqueness->queues[number];

    if (!reply) {
        ask_again(queue);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        ask_again(queue);
        refuse(uniqueness, number, reply->str ? reply->str : "an answer that makes no sense");
        return;
    }
    const char *problem = NULL;
    for (size_t i = 0; i < reply->elements && !STAILQ_EMPTY(&queue->sent); i++) {
        const redisReply *answer = reply->element[i];
        const char *first = answer->str;

        if (answer->type == REDIS_REPLY_ARRAY) {
            struct asking_job *asking = STAILQ_FIRST(&queue->sent);

            STAILQ_REMOVE_HEAD(&queue->sent, next);
            STAILQ_INSERT_TAIL(&queue->waiting, asking, next);
            problem = answer->elements > 0 && answer->element[0]->str ? answer->element[0]->str : "nothing";
            continue;
        }
        struct job *job = take_first(uniqueness, &queue->sent);

        if (first)
            uniqueness->events->answered(job, number, first[0] ? first : NULL, uniqueness->user);
        else
            uniqueness->events->gone(job, number, uniqueness->user);
    }
    ask_again(queue);
    if (problem)
        refuse(uniqueness, number, problem);
    else if (STAILQ_EMPTY(&queue->waiting))
        health_clear_problem(&queue->health);
    uniqueness->events->wake(uniqueness->user);
}

static void end_rest(evutil_socket_t fd, short what, void *arg)
{
    struct uniqueness *uniqueness = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < uniqueness->calls.link.options->queue_count; i++)
        uniqueness->queues[i].resting = false;
    uniqueness->events->wake(uniqueness->user);
}

/* ---- Sending ---- */

static void write_jobs(const struct queue_calls *calls, size_t number, struct command *command)
{
    const struct uniqueness *uniqueness = container_of(calls, struct uniqueness, calls);
    const struct asking_job *asking;

    command_add_text(command, calls->link.consumer);
    STAILQ_FOREACH (asking, &uniqueness->queues[number].sent, next) {
        command_add_text(command, asking->job->entry);
        command_add_text(command, asking->job->id);
        command_add_text(command, asking->job->unique);
        command_add_text(command, asking->unique_for);
    }
}

static const struct queue_calls_kind hold_calls = {.script = &queue_script_hold, .write = write_jobs, .done = on_reply};

static void flush_queue(struct uniqueness *uniqueness, size_t number)
{
    struct uniqueness_queue *queue = &uniqueness->queues[number];

    if (STAILQ_EMPTY(&queue->waiting) || queue->resting || queue_calls_is_under_way(&uniqueness->calls, number))
        return;
    assert(STAILQ_EMPTY(&queue->sent));
    for (int i = 0; i < JOBS_MAX && !STAILQ_EMPTY(&queue->waiting); i++) {
        struct asking_job *asking = STAILQ_FIRST(&queue->waiting);

        STAILQ_REMOVE_HEAD(&queue->waiting, next);
        STAILQ_INSERT_TAIL(&queue->sent, asking, next);
    }
    if (queue_calls_send(&uniqueness->calls, number) < 0)
        ask_again(queue);
}

void uniqueness_flush(struct uniqueness *uniqueness)
{
    if (uniqueness->count == 0 || !connection_is_up(uniqueness->calls.link.connection))
        return;
    for (size_t i = 0; i < uniqueness->calls.link.options->queue_count; i++)
        flush_queue(uniqueness, i);
}

int uniqueness_ask(struct uniqueness *uniqueness, size_t queue, struct job *job)
{
    assert(queue < uniqueness->calls.link.options->queue_count && job->unique);
    struct asking_job *asking = malloc(sizeof(*asking));

    if (!asking)
        return -ENOMEM;
    asking->job = job;
    (void)snprintf(asking->unique_for, sizeof(asking->unique_for), "%" PRId64, job->unique_for_ms);
    STAILQ_INSERT_TAIL(&uniqueness->queues[queue].waiting, asking, next);
    uniqueness->count++;
    uniqueness->events->wake(uniqueness->user);
    return 0;
}

bool uniqueness_is_empty(const struct uniqueness *uniqueness)
{
    return uniqueness->count == 0;
}

/* ---- Life ---- */

int uniqueness_new(const struct queue_link *link, const struct uniqueness_events *events, void *user,
                   struct uniqueness **ret_uniqueness)
{
    size_t count = link->options->queue_count;
    struct uniqueness *uniqueness = calloc(1, sizeof(*uniqueness) + count * sizeof(uniqueness->queues[0]));

    if (!uniqueness)
        return -ENOMEM;
    uniqueness->events = events;
    uniqueness->user = user;
    for (size_t i = 0; i < count; i++) {
        STAILQ_INIT(&uniqueness->queues[i].waiting);
        STAILQ_INIT(&uniqueness->queues[i].sent);
        uniqueness->queues[i].health.health = link->health;
    }
    int r = queue_calls_init(&uniqueness->calls, link, &hold_calls);
    uniqueness->timer = event_new(link->base, -1, 0, end_rest, uniqueness);
    if (r < 0 || !uniqueness->timer) {
        uniqueness_free(uniqueness);
        return -ENOMEM;
    }
    *ret_uniqueness = uniqueness;
    return 0;
}

struct uniqueness *uniqueness_free(struct uniqueness *uniqueness)
{
    if (!uniqueness)
        return NULL;
    for (size_t i = 0; uniqueness->count > 0; i++) {
        struct uniqueness_queue *queue = &uniqueness->queues[i];

        ask_again(queue);
        while (!STAILQ_EMPTY(&queue->waiting))
            (void)job_free(take_first(uniqueness, &queue->waiting));
    }
    if (uniqueness->timer)
        event_free(uniqueness->timer);
    queue_calls_done(&uniqueness->calls);
    free(uniqueness);
    return NULL;
}
