/*
 * The waiting room: jobs that were handed over to this worker and have not begun, because as many as may already run.
 * Neither an attempt nor a time-out of theirs has begun. Which of them may go on, its owner decides.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/job.h"
#include "context/macros.h"
#include "handlers/attempt.h"

struct waiting_job {
    struct waiting_job *previous, *next;
    struct job *record;
    const struct job_type *type;
    int64_t since_us; /* CLOCK_MONOTONIC */
};

/* All zero at first: nobody waits. */
struct waiting {
    struct waiting_job *first, *last; /* in the order in which they came */
    size_t count;
};

/* Takes a record, which is then the room's. Errors: -ENOMEM, and it stays the caller's. */
int waiting_add(struct waiting *waiting, struct job *record, const struct job_type *type) MUST_CHECK;

/* Takes a job out; gives its record, which is then the caller's. */
struct job *waiting_take(struct waiting *waiting, struct waiting_job *job);
