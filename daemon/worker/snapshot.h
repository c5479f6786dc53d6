/*
 * Snapshots: which jobs are in this worker at this moment, and what each of them awaits, in JSON for `weft ps`.
 *
 *     {"node": NODE, "pid": PID, "left_out": JOBS, "jobs": [
 *         {"id", "type", "queue", "state": "waiting", "running" or "outlived", "attempt", "started_at", "for_ms",
 * "contexts", "operations_left_out", "operations": [
 *              {"id", "trigger", "kind", "what", "since", "for_ms", "at", "task", "handler", "stack"}]}]}
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"
#include "daemon/worker/waiting.h"
#include "handlers/active_jobs.h"

/* What to tell. Borrowed. */
struct snapshot_question {
    const char *node;
    const char *queue; /* of whose jobs */
    const char *id;    /* of which job, and then with the stacks of its operations; NULL: all */
    const struct waiting *waiting;
};

/* Gives `*ret_size` bytes to be freed, or NULL: no memory. Of many jobs the oldest are told, as many as fit into some
 * hundred KiB, and how many were left out. On the loop's thread; it does not wait. */
char *snapshot_take(struct active_jobs *active_jobs, const struct snapshot_question *question,
                    size_t *ret_size) MUST_CHECK;
