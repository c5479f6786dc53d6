/*
 * Streams that nobody reads: jobs that were enqueued under a name with a slip in it, or into a queue that a reload has
 * taken out, would wait there for ever, and nobody would know. Each node says which queues it reads, and one of them
 * goes through the keys of the prefix in small slices, and tells once of each stream with jobs that no node reads.
 * Costs Redis a small command a node every five seconds, and a slice of 500 keys ten times a second while one goes
 * through.
 */
#pragma once

#include "context/macros.h"
#include "queue/link.h"
#include "queue/maintenance/maintenance.h"

struct unread;

/* Tells by `events->unread`. What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int unread_new(const struct queue_link *link, const struct maintenance_events *events, void *user,
               struct unread **ret_unread) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct unread *unread_free(struct unread *unread);

/* The connection is up: says now, and from time to time, what this node reads, and looks when it is its turn. */
void unread_start(struct unread *unread);
