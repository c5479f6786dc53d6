/*
 * The reaper: looks once a second at all workers, on all nodes, and has those reclaimed that are dead: at once where
 * their processes lived on this host, else when their lease is over. Any node may do it for any other.
 *
 * Who there is, the set of workers says, in which each gives its sign of life: one command, however many queues there
 * are. A consumer that is not in it (of an older weft, or of a set that got lost) is found among those of its queue:
 * all queues are looked at when the connection is made, then ten a second, in turn.
 *
 * Redis does not say for how long a consumer has been silent, but for how long Redis has not heard of it, which is not
 * the same where Redis itself was away, or its clock was set. So a lease is over only if it looks so twice, with enough
 * time in between for the consumer to be heard of, over one connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/link.h"
#include "queue/maintenance/maintenance.h"
#include "queue/redis/connection.h"

/*
 * What the reaper has to do: gives the jobs of consumers back to their queues and deletes the consumers, in slices,
 * each of which is one atomic step that holds Redis up for 2 ms or so. Whoever dies in between, what is left can be
 * given back by anybody; a consumer is deleted in the step that finds it empty.
 */

struct reaper_backlog;

/* Tells of jobs that went back by `events->reclaimed`. What is given is borrowed and must outlive it. Errors: -ENOMEM.
 */
int reaper_backlog_new(const struct queue_link *link, const struct maintenance_events *events, void *user,
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

struct reaper;

/* What is given is borrowed and must outlive it; who is dead is noted in `backlog`. Errors: -ENOMEM. */
int reaper_new(const struct queue_link *link, struct reaper_backlog *backlog, struct reaper **ret_reaper) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct reaper *reaper_free(struct reaper *reaper);

/* The connection is up: forgets what was seen over the last one, looks now, and from time to time. */
void reaper_start(struct reaper *reaper);

/* The jobs of `consumer`, whose process is dead, have been given back: should Redis yet come to know it again, from a
 * read of the dead process that it had not noticed the end of, then nobody is to deal with it any more but the reaper.
 */
void reaper_note_gone(struct reaper *reaper, const char *consumer);
