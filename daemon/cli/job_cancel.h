/*
 * Cancelling one job: where it is, and what becomes of it. Jobs move while they are looked
 * for: it is noted for the workers first that the job is to be cancelled, and then it is searched for.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/cli/session.h"

/* How long a worker is waited for that was asked to stop a job. */
#define JOB_CANCEL_SECONDS 5

#define JOB_CANCEL_ENTRY_SIZE 48

enum job_cancel_where {
    JOB_CANCEL_DELAYED,
    JOB_CANCEL_QUEUED,
    JOB_CANCEL_RUNNING,
    JOB_CANCEL_MOVING, /* it has not ended, and its entry is not known */
    JOB_CANCEL_DONE,
    JOB_CANCEL_DEAD,
    JOB_CANCEL_CANCELLED,
    JOB_CANCEL_UNKNOWN,
};

/* What is known of a job in one queue. */
struct job_state {
    enum job_cancel_where where;
    bool noted; /* that it is to be cancelled */
    int64_t enqueued_ms;
};

struct job_cancel {
    struct session *session;
    const struct queue_keys *keys; /* of the queue that it is about */
    const char *id;
    char entry[JOB_CANCEL_ENTRY_SIZE]; /* ""; then the job's, once it has been found */
};

enum job_cancel_end {
    JOB_CANCEL_CAUGHT,  /* it waited, and has been cancelled */
    JOB_CANCEL_STOPPED, /* its worker has cancelled it */
    JOB_CANCEL_ASKED,   /* its worker has been asked to */
    JOB_CANCEL_LATE,    /* it has ended by itself: the job's state says how, as far as a report says so */
    JOB_CANCEL_NOTHING, /* there is no such job, or it had ended before */
};

/* Whether the job has not ended. */
bool job_cancel_is_alive(enum job_cancel_where where);

/* Looks where the job is, without searching the stream. Gives an exit status. */
int job_cancel_look(const struct job_cancel *job_cancel, struct job_state *ret_state) MUST_CHECK;

/* Cancels the job in this queue; may wait for JOB_CANCEL_SECONDS. Gives an exit status, how it went, and what was seen
 * last. */
int job_cancel_cancel(struct job_cancel *job_cancel, enum job_cancel_end *ret_end,
                      struct job_state *ret_state) MUST_CHECK;
