/*
 * Hastening: jobs that this worker has put off come due at once, since there is room for them sooner than it seemed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/link.h"

struct hasten;

/* What is given is borrowed, the link as it says. Errors: -ENOMEM. */
int hasten_new(const struct queue_link *link, struct hasten **ret_hasten) MUST_CHECK;

/* Not before the link's connection is freed. Takes NULL, gives NULL. */
struct hasten *hasten_free(struct hasten *hasten);

/* Notes a job of the queue number `queue` that was settled as JOB_DELAYED, with the entry that it had and when it is
 * due (Unix time); copied. Errors: -ENOMEM. */
int hasten_add(struct hasten *hasten, size_t queue, const char *id, const char *entry, int64_t due_ms) MUST_CHECK;

/* Sends what has been noted. Without a connection it is forgotten: these jobs come due in their time. */
void hasten_flush(struct hasten *hasten);
