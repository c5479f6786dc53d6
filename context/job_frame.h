/*
 * The context that a job starts with: weft's own values and the message's metadata. Whoever needs a job's context, be
 * it to run the job or to log a line about it, makes it here.
 */
#pragma once

#include <weft/context.h>

#include "context/job.h"
#include "context/macros.h"

/* What weft's own values are called in a context. */
#define JOB_VALUE_ID       "weft.job_id"
#define JOB_VALUE_TYPE     "weft.type"
#define JOB_VALUE_QUEUE    "weft.queue"
#define JOB_VALUE_ATTEMPT  "weft.attempt"
#define JOB_VALUE_ROOT_ID  "weft.root_id"
#define JOB_VALUE_TRACE_ID "weft.trace_id"
#define JOB_VALUE_SPAN_ID  "weft.span_id"
#define JOB_VALUE_HANDLER  "weft.handler"
#define JOB_VALUE_TASK     "weft.task"

/* The values; NULL or empty: there is none. All are borrowed, until the last frame is gone. */
struct job_values {
    const char *id;
    const char *type;
    const char *queue;
    const char *attempt; /* its number as text */
    const char *root_id;
    const char *trace_id;
    const char *span_id;
    const char *handler;
    const char *task;
    const struct job_field *metadata;
    size_t metadata_count; /* at most JOB_METADATA_MAX */
};

enum { JOB_ATTEMPT_SIZE = 12 };

/* The values that a job record has; writes the number of its attempt as text. */
struct job_values job_values_of(const struct job *job, char attempt[static JOB_ATTEMPT_SIZE]);

/* Makes the frame. `owner` and `release` are as for frame_new(); both may be NULL. Errors: -ENOMEM; `release` is not
 * called then. */
int job_frame_new(const struct job_values *values, void *owner, void (*release)(void *owner),
                  struct weft_context **ret_frame) MUST_CHECK;
