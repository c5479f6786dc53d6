/*
 * The lines that weft itself writes about a job, each in the job's context.
 */
#pragma once

#include "handlers/runner.h"
#include "queue/client.h"

/* In the job's context already. */
void lifecycle_started(const struct weft_job *job);
void lifecycle_ended(const struct attempt_outcome *outcome);
void lifecycle_subtask_started(void);
void lifecycle_subtask_ended(int result);

/* Enters a context made for the message, since it never became a job. */
void lifecycle_rejected(const struct queue_rejection *rejection);
