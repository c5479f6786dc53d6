/*
 * Collecting what all workers say of the jobs that they have. They look for questions four times a second; one that is
 * stuck in a handler does not answer, and then Redis is asked what it holds.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "context/macros.h"
#include "daemon/cli/session.h"

/* Asks in the queues of the session about all jobs, or, unless it is NULL, about the job `id`, and appends what is
 * found to `jobs`, as ps_answer.h has it. Waits for 2 seconds at the most. Says on stderr who did not answer and what
 * was left out. Gives an exit status. */
int ps_collect(struct session *session, const char *id, json_t *jobs) MUST_CHECK;
