/*
 * The pursuit of a job that is to be cancelled: where it is, and what becomes of it. Jobs move while they are looked
 * for: it is noted for the workers first that the job is to be cancelled, and then it is searched for.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/cli/session.h"

/* How long a worker is waited for that was asked to stop a job. */
#define PURSUIT_SECONDS 5

#define PURSUIT_ENTRY_SIZE 48

enum pursuit_where {
    PURSUIT_DELAYED,
    PURSUIT_QUEUED,
    PURSUIT_RUNNING,
    PURSUIT_MOVING, /* it has not ended, and its entry is not known */
    PURSUIT_DONE,
    PURSUIT_DEAD,
    PURSUIT_CANCELLED,
    PURSUIT_UNKNOWN,
};

/* What is known of a job in one queue. */
struct pursuit_sight {
    enum pursuit_where where;
    bool noted; /* that it is to be cancelled */
    int64_t enqueued_ms;
};

struct pursuit {
    struct session *session;
    const struct queue_keys *keys; /* of the queue that it is about */
    const char *id;
    char entry[PURSUIT_ENTRY_SIZE]; /* ""; then the job's, once it has been found */
};

enum pursuit_end {
    PURSUIT_CAUGHT,  /* it waited, and has been cancelled */
    PURSUIT_STOPPED, /* its worker has cancelled it */
    PURSUIT_ASKED,   /* its worker has been asked to */
    PURSUIT_LATE,    /* it has ended by itself: the sight says how, as far as a report says so */
    PURSUIT_NOTHING, /* there is no such job, or it had ended before */
};

/* Whether the job has not ended. */
bool pursuit_is_alive(enum pursuit_where where);

/* Looks where the job is, without searching the stream. Gives an exit status. */
int pursuit_look(const struct pursuit *pursuit, struct pursuit_sight *ret_sight) MUST_CHECK;

/* Cancels the job in this queue; may wait for PURSUIT_SECONDS. Gives an exit status, how it went, and what was seen
 * last. */
int pursuit_cancel(struct pursuit *pursuit, enum pursuit_end *ret_end, struct pursuit_sight *ret_sight) MUST_CHECK;
