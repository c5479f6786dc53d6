/*
 * The backlog: what the reaper has to do. Gives the jobs of consumers back to their queues and deletes the consumers,
 * in slices, each of which is one atomic step that holds Redis up for 2 ms or so. Whoever dies in between, what is left
 * can be given back by anybody; a consumer is deleted in the step that finds it empty.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/link.h"
#include "queue/maintenance/maintenance.h"

struct backlog;

/* Tells of jobs that went back by `events->reclaimed`. What is given is borrowed and must outlive it. Errors: -ENOMEM.
 */
int backlog_new(const struct queue_link *link, const struct maintenance_events *events, void *user,
                struct backlog **ret_backlog) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct backlog *backlog_free(struct backlog *backlog);

/* Notes that a consumer of a queue is to go, unless Redis then has heard of it within `silence_ms`; 0: whatever Redis
 * has heard. That is asked again at each slice: one that comes back keeps the rest. One that is noted already is not
 * noted twice. Errors: -ENOMEM. */
int backlog_add(struct backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                int64_t silence_ms) MUST_CHECK;

/* The same for all queues; stops at the first for which there is no memory. */
int backlog_add_everywhere(struct backlog *backlog, const char *consumer, enum reclaim_reason reason,
                           int64_t silence_ms) MUST_CHECK;

/* Sends what has not been sent for a queue, or has failed, as far as Redis is up and not busy with earlier slices. */
void backlog_flush(struct backlog *backlog, size_t queue);

/* Whether a consumer of any queue is still to go. */
bool backlog_has(const struct backlog *backlog, const char *consumer);

/* Whether all that was noted has been done. */
bool backlog_is_empty(const struct backlog *backlog);
