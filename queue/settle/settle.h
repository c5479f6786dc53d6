/*
 * Settling: collects outcomes in batches, a batch for each queue, and has settle.lua write each in one atomic step.
 * What Redis has not confirmed is kept and sent again: the script does nothing for a job that has been settled already.
 */
#pragma once

#include <stdbool.h>

#include "context/macros.h"
#include "queue/entry.h"
#include "queue/link.h"
#include "queue/message/message.h"
#include "queue/options.h"
#include "queue/redis/connection.h"
#include "queue/settle/settlement.h"

struct settle;

/* What it works with; borrowed, all of it. */
struct settle_setup {
    struct queue_link link;
    struct entry_set *held; /* loses the entries whose outcomes Redis has taken */
    /* Something waits for settle_flush(), which is to be called from the event loop soon. */
    void (*wake)(void *user);
    void *user;
};

/* What `setup` points to must outlive it; the struct itself is copied. Errors: -ENOMEM. */
int settle_new(const struct settle_setup *setup, struct settle **ret_settle) MUST_CHECK;

/* Forgets what has not been written. Not before its connection is freed. Takes NULL, gives NULL. */
struct settle *settle_free(struct settle *settle);

/* These take a record for a queue, by its number; all is copied. Errors: -ENOMEM. */
int settle_add(struct settle *settle, size_t queue, const struct settlement *settlement) MUST_CHECK;
int settle_reject(struct settle *settle, size_t queue, const char *entry,
                  const struct message_rejection *rejection) MUST_CHECK;
int settle_forget(struct settle *settle, size_t queue, const char *entry) MUST_CHECK;
int settle_report_running(struct settle *settle, size_t queue, const struct job *job, int64_t started_ms,
                          const char *progress) MUST_CHECK;
int settle_add_subtasks(struct settle *settle, size_t queue, const struct job *job, unsigned subtasks,
                        unsigned subtasks_failed) MUST_CHECK;

/* Sends what waits, as far as Redis is up and not busy with earlier batches. */
void settle_flush(struct settle *settle);

/* Whether nothing waits and nothing is on its way. */
bool settle_is_empty(const struct settle *settle);

/* How many outcomes wait or are on their way. */
size_t settle_count(const struct settle *settle);

/* How many of them Redis has refused, and may take later. */
size_t settle_count_kept(const struct settle *settle);

/* Whether Redis has refused so many outcomes of a queue that no more of its jobs should be run until it takes them. */
bool settle_is_clogged(const struct settle *settle, size_t queue);

/* Whether Redis has decided about all outcomes of a queue: it has taken them, or does not take them for now and has
 * their jobs down as the consumer's. */
bool settle_has_tried(const struct settle *settle, size_t queue);
