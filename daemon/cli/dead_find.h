/*
 * Finding the dead letter that a job ID means: the newest of that ID.
 */
#pragma once

#include "context/macros.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/session.h"

struct dead_letter {
    const struct queue_keys *keys; /* of its queue; borrowed from the session */
    char entry[JOB_ENTRY_SIZE];
};

/* Gives an exit status; but for EX_OK, the reason has been reported: there is none, or there is one in several queues.
 */
int dead_find(struct session *session, const char *id, struct dead_letter *ret_letter) MUST_CHECK;

/* Reports that there is none, and gives the exit status. */
int dead_report_missing(const char *id);

/* Says what has been done to a letter, such as "retried", and gives the exit status. */
int dead_report_done(const char *words, const char *id, const struct dead_letter *letter, bool json);
