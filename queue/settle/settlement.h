/*
 * A settlement: what becomes of a job, as a worker or the supervisor gives it to be written to Redis.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/job.h"

/* The outcome of one attempt. Strings are borrowed during queue_client_settle() or maintenance_settle(), and may be
 * NULL unless said otherwise.
 */
struct settlement {
    const struct job *job; /* not NULL */
    enum job_outcome outcome;
    const char *error; /* why it failed */
    const char *result;
    size_t result_size;
    const char *progress;
    const char *duplicate_of; /* JOB_DUPLICATE: the ID of the job that has the unique key */
    int64_t started_ms;       /* Unix time; 0: never started */
    int64_t duration_us;
    int64_t due_ms; /* JOB_RETRY, JOB_DELAYED: Unix time of the next run */
    bool charged;   /* JOB_RETURNED, JOB_RETRY: counts as an attempt */
    unsigned subtasks;
    unsigned subtasks_failed;
};
