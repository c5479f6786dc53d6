/*
 * What weft ps is made of: a JSON object for each job, taken from a worker's answer (see daemon/worker/snapshot.h) or,
 * where a worker does not answer, made of what Redis knows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>
#include <jansson.h>

#include "context/macros.h"

/* The state of a job whose worker does not answer. */
#define PS_UNANSWERED "unanswered"

/* The state of one whose worker is gone, and which nobody has given back yet. */
#define PS_GONE "gone"

/* Appends to `jobs` those of an answer, each with `node` and `pid`; gives how many the worker has left out. What is no
 * answer has no jobs. Errors: -EBADMSG, -ENOMEM. */
int ps_answer_read(const char *bytes, size_t size, json_t *jobs, int64_t *ret_left_out) MUST_CHECK;

/* What Redis knows of a worker that does not answer. */
struct ps_silence {
    int64_t lease_ms;
    const char *consumer;
    const char *queue;
    const char *id;    /* of the only job that is asked about; NULL: all */
    int64_t silent_ms; /* since it was heard of; -1: it is not there any more */
    bool gone;         /* it is dead, or its lease is over */
};

/* Reads the reply of holdings.lua: fills in `silent_ms` and `gone`, and appends the worker's jobs to `jobs`. Errors:
 * -EBADMSG, -ENOMEM. */
int ps_answer_substitute(struct ps_silence *silence, const redisReply *reply, json_t *jobs) MUST_CHECK;
