/*
 * What the reaper has to do: gives the jobs of consumers back to their queues and deletes the consumers, in slices,
 * each of which is one atomic step that holds Redis up for 2 ms or so. Whoever dies in between, what is left can be
 * given back by anybody; a consumer is deleted in the step that finds it empty.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/keys.h"
#include "queue/maintenance/maintenance.h"
#include "queue/redis/connection.h"

struct reaper_backlog;

/* Tells of jobs that went back by `events->reclaimed`. What is given is borrowed and must outlive it. Errors: -ENOMEM.
 */
int reaper_backlog_new(struct redis *redis, const struct queue_keys *keys, size_t queue_count, struct health *health,
                       const struct maintenance_events *events, void *user,
                       struct reaper_backlog **ret_backlog) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct reaper_backlog *reaper_backlog_free(struct reaper_backlog *backlog);

/* Notes that a consumer of a queue is to go, unless Redis then has heard of it within `silence_ms`; 0: whatever Redis
 * has heard. That is asked again at each slice: one that comes back keeps the rest. One that is noted already is not
 * noted twice. Errors: -ENOMEM. */
int reaper_backlog_add(struct reaper_backlog *backlog, size_t queue, const char *consumer, enum reclaim_reason reason,
                       int64_t silence_ms) MUST_CHECK;

/* Sends what has not been sent for a queue, or has failed, as far as Redis is up and not busy with earlier slices. */
void reaper_backlog_flush(struct reaper_backlog *backlog, size_t queue);

/* Whether a consumer of any queue is still to go. */
bool reaper_backlog_has(const struct reaper_backlog *backlog, const char *consumer);

/* Whether all that was noted has been done. */
bool reaper_backlog_is_empty(const struct reaper_backlog *backlog);
