/*
 * Ownership: finds out which of the jobs that this process holds are not its own any more, because others took it for
 * dead while it, or its connection, stood still.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "queue/entry.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

struct ownership;

/* `lost` is called for each job that has got lost; once, though again if it is given to us again and gets lost again.
 * What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int ownership_new(const struct queue_link *link, struct entry_set *held,
                  void (*lost)(size_t queue, const char *entry, void *user), void *user,
                  struct ownership **ret_ownership) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct ownership *ownership_free(struct ownership *ownership);

/* Compares what is held, and not being settled, with what Redis has down as ours; once more if that is under way.
 * Where there is no memory, or the connection is lost, nothing is told. */
void ownership_check(struct ownership *ownership);

/* Whether the job got lost, in which case it is held no more: its outcome must not reach Redis, where somebody else may
 * have been given the same entry. */
bool ownership_take(struct ownership *ownership, size_t queue, const char *entry);
