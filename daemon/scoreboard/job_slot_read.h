/*
 * What a job slot says, read by the supervisor when the worker is gone.
 */
#pragma once

#include <stdint.h>

#include <weft/context.h>

#include "context/job.h"
#include "context/macros.h"
#include "daemon/scoreboard/job_slot.h"

/* What a job slot says. */
struct job_slot_job {
    struct job
        job; /* borrows from `text`; no payload, no metadata; `attempts` is what it is allowed, whoever said so */
    int64_t started_ms;  /* Unix time; 0: it has not started */
    int64_t deadline_us; /* CLOCK_MONOTONIC; 0: it has not started */
    char text[JOB_SLOT_TEXT_SIZE];
};

/* Reads a job slot into `ret_job`, which must then stay where it is. Errors: -EBADMSG what is there is not a job slot
 * that was written as a whole. */
int job_slot_read_job(const struct job_slot *job_slot, struct job_slot_job *ret_job) MUST_CHECK;

/* Rebuilds the context that the job started with, for the lines about it: weft's own values, `handler` and `task` (NULL
 * or empty: none) among them, and as much of the metadata as the job slot had room for. Errors: -EBADMSG as above;
 * -ENOMEM.
 */
int job_slot_read_context(const struct job_slot *job_slot, const char *handler, const char *task,
                          struct weft_context **ret_context) MUST_CHECK;
