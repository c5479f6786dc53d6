/*
 * A worker's side of the queues: fetches jobs as there is room for them, settles their outcomes in batches, and keeps
 * its two connections to Redis alive (one for blocking reads, one for the rest).
 *
 * Nothing here waits: all functions return at once, and events arrive from the event loop, at the root context. All of
 * the functions may be called from inside events, but queue_client_free() only from `drained`. The process must ignore
 * SIGPIPE: hiredis writes to connections that Redis has closed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "context/job.h"
#include "context/macros.h"
#include "queue/options.h"
#include "queue/settle/settlement.h"

struct queue_client;

/* What a message that became a dead letter was, as far as it could be read; strings are borrowed, never NULL except
 * `type`. */
struct queue_rejection {
    const char *id;
    const char *type;
    const char *queue;
    const char *reason; /* one sentence */
};

/* What `weft ps` asks a worker; borrowed during the event. */
struct queue_inquiry {
    size_t number; /* of the queue */
    const char *queue;
    const char *text; /* the inquiry as a whole */
    const char *id;   /* the job that it is about; NULL: all of the queue */
};

/* Called by the client; `user` is what queue_client_new() was given. */
struct queue_events {
    /* A job to run. The record becomes the receiver's. */
    void (*job)(struct job *job, void *user);

    /* Whether a type is configured. */
    bool (*type_known)(const char *type, void *user);

    /* A message was refused and is on its way to the dead letters. */
    void (*rejected)(const struct queue_rejection *rejection, void *user);

    /* Somebody wants a job to be cancelled, which may be running here or not. Told again when it is asked for again. */
    void (*cancelled)(const char *queue, const char *id, void *user);

    /* A job that is to be cancelled has arrived: it is settled without being run. The record is borrowed. */
    void (*discarded)(const struct job *job, void *user);

    /* A job has arrived whose unique key the job `first` (an ID) has: likewise. */
    void (*duplicate)(const struct job *job, const char *first, void *user);

    /* Another worker has, or will have, this job, because this process was taken for dead; its outcome will have no
     * effect. It is settled all the same, so that it is known when it is over here. Jobs whose outcome was given to
     * queue_client_settle() before are not told. */
    void (*lost)(const char *queue, const char *entry, void *user);

    /* Somebody wants to know which jobs of a queue are here, and what they do: to be answered from inside the event, by
     * queue_client_answer(). NULL: nobody answers. */
    void (*inquired)(const struct queue_inquiry *inquiry, void *user);

    /* Redis stopped answering as it should (`problem` says what, in one sentence), or is well again (NULL). */
    void (*redis_state)(const char *problem, void *user);

    /* Nothing is fetched any more, nothing waits to be settled, and no child job waits for its answer: after
     * queue_client_stop(), once. */
    void (*drained)(void *user);
};

/* Connects (in the background, for as long as it takes) and prepares to fetch; `consumer` is the consumer's name and
 * must be unique to this process. Errors: -ENOMEM, -EINVAL. */
int queue_client_new(struct event_base *base, const struct queue_options *options, const char *consumer,
                     const struct queue_events *events, void *user, struct queue_client **ret_client) MUST_CHECK;

/* Closes at once; what was not settled stays in Redis under this consumer. Takes NULL, gives NULL. */
struct queue_client *queue_client_free(struct queue_client *client);

/* How many jobs may be here at a time: asked for, handed over, or settled and not yet confirmed by Redis. To be said
 * once; nothing is fetched before. A read of several queues may bring a few more. */
void queue_client_set_capacity(struct queue_client *client, unsigned jobs);

/* A job that was handed over has begun to run, or has been put aside to wait for something that may take a while. To be
 * called once for each job, from inside the event or later: no more are fetched before. */
void queue_client_note_started(struct queue_client *client);

/* A job that was put aside is about to begin after all, and is noted as started once more when it does. */
void queue_client_note_starting(struct queue_client *client);

/* Takes the outcome of a job that was handed over; copied, and written to Redis with others in one atomic step soon.
 * Where Redis is away it is kept and written later. A job that somebody else has settled meanwhile stays as it is.
 * Errors: -ENOMEM: the job comes again, uncharged; -EINVAL: its queue is not one of ours. */
int queue_client_settle(struct queue_client *client, const struct settlement *settlement) MUST_CHECK;

/* Has a job come due at once that was settled as JOB_DELAYED: of a queue of ours, with the entry that it had and when
 * it is due (Unix time); copied. Where Redis is away it comes in its time. Errors: -ENOMEM, -EINVAL. */
int queue_client_hasten(struct queue_client *client, const char *queue, const char *id, const char *entry,
                        int64_t due_ms) MUST_CHECK;

/* Shows a job that is still running in its report: state `running`, attempt, start, progress. */
int queue_client_report_running(struct queue_client *client, const struct job *job, int64_t started_ms,
                                const char *progress) MUST_CHECK;

/* Adds to the counters of a report that has been written: subtasks that were started or failed after their job was
 * settled. */
int queue_client_add_subtasks(struct queue_client *client, const struct job *job, unsigned subtasks,
                              unsigned subtasks_failed) MUST_CHECK;

/* A message to enqueue: `fields` are the names and values of the stream entry, `type` and `payload` among them. */
struct queue_message {
    const char *queue;
    const struct job_field *fields;
    size_t field_count;
};

/* Enqueues; copied. `done` is called once, later, with 0 and the entry's ID, or -ENOTCONN or -EIO (and Redis's words in
 * `text`); not when the client is freed before. Errors: -ENOMEM, -ENOTCONN. */
int queue_client_enqueue(struct queue_client *client, const struct queue_message *message,
                         void (*done)(int result, const char *text, void *arg), void *arg) MUST_CHECK;

/* Answers an inquiry with `size` bytes, which are copied. Errors: -ENOTCONN, -ENOMEM. */
int queue_client_answer(struct queue_client *client, const struct queue_inquiry *inquiry, const char *text,
                        size_t size) MUST_CHECK;

/* Whether everything that was given so far has been written: outcomes, reports, late subtasks, child jobs. Subtasks go
 * on after `drained`, so whoever ends the process asks again when they are over. */
bool queue_client_is_settled(const struct queue_client *client);

/* How many outcomes have been given and not been written. Their jobs are still pending in Redis, and will be run again
 * if the process ends now. */
size_t queue_client_count_unsettled(const struct queue_client *client);

/* For a watchdog, which asks from time to time: false if for more than 5 s of asking there has been room, and a
 * connection, and yet nothing was read, which is a mistake of ours. */
bool queue_client_is_moving(struct queue_client *client);

/* Takes no more jobs: ends the blocking read, and returns to their queue, uncharged, what arrives all the same.
 * `drained` follows once everything handed over before has been settled (by queue_client_settle) and written. */
void queue_client_stop(struct queue_client *client);
