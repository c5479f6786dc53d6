/*
 * Lines about a job that has no context in this process: not yet, no longer, or never. Each is written in the context
 * that the job would start with.
 */
#pragma once

#include "context/current.h"
#include "context/job_frame.h"

/* Makes the context of a job current, until it is given to current_leave(). Errors: -ENOMEM, and nothing is to be left.
 */
int job_log_enter(struct current *saved, const struct job_values *values) MUST_CHECK;

/* Writes a debug line; `format` is printf's. Where debug lines are not wanted it costs next to nothing; where there is
 * no memory, nothing is written. From any thread. */
void job_log_debug(const struct job *job, const char *format, ...) WEFT_PRINTF(2, 3);
