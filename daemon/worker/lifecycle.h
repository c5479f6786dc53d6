/*
 * The lines that weft itself writes about a job, each in the job's context.
 */
#pragma once

#include "daemon/crash/module_map.h"
#include "handlers/runner.h"
#include "queue/consumer/client.h"

/* In the job's context already. */
void lifecycle_started(const struct weft_job *job);
void lifecycle_ended(const struct attempt_outcome *outcome);
void lifecycle_subtask_started(void);
/* A call that goes on after its job was given up, as runner_events has it; `map`: of this process. And it has returned.
 */
void lifecycle_stuck(const struct module_map *map, const uintptr_t *frames, size_t frame_count);
void lifecycle_unstuck(void);
void lifecycle_subtask_ended(int result);

/* Enter a context made for the message, since it never became a job, or for the job, since it never ran. */
void lifecycle_rejected(const struct queue_rejection *rejection);
void lifecycle_discarded(const struct job *job);
void lifecycle_duplicate(const struct job *job, const char *first);
