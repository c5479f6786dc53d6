/*
 * How weft ps looks on a terminal: a row for each job, and below it what the job awaits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "context/macros.h"
#include "daemon/cli/table.h"

#define PS_DURATION_SIZE 32

/* Writes a duration as people say it: "40 ms", "1.2 s", "3 min", "5.1 h", "2 d". */
void ps_show_duration(int64_t ms, char buffer[static PS_DURATION_SIZE]);

/* An empty table for jobs. */
void ps_show_begin(struct table *table);

/* Adds a job as ps_answer.h has it; members that are missing, or are not what they should be, are shown as "-".
 * Errors: -ENOMEM. */
int ps_show_job(struct table *table, const json_t *job) MUST_CHECK;
