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

#include "context/macros.h"
#include "queue/link.h"
#include "queue/maintenance/backlog.h"

struct reaper;

/* What is given is borrowed and must outlive it; who is dead is noted in `backlog`. Errors: -ENOMEM. */
int reaper_new(const struct queue_link *link, struct backlog *backlog, struct reaper **ret_reaper) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct reaper *reaper_free(struct reaper *reaper);

/* The connection is up: forgets what was seen over the last one, looks now, and from time to time. */
void reaper_start(struct reaper *reaper);

/* The jobs of `consumer`, whose process is dead, have been given back: should Redis yet come to know it again, from a
 * read of the dead process that it had not noticed the end of, then nobody is to deal with it any more but the reaper.
 */
void reaper_note_gone(struct reaper *reaper, const char *consumer);
