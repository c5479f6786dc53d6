/*
 * A batch: outcomes of jobs of one queue, written down the way settle.lua reads them. Nothing is sent here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "context/time.h"
#include "queue/entry.h"
#include "queue/message/message.h"
#include "queue/options.h"
#include "queue/redis/msgpack.h"
#include "queue/settle/settlement.h"

#define BATCH_RECORDS_MAX 128
#define BATCH_BYTES_MAX   ((size_t)4 * 1024 * 1024)
#define BATCH_COPIED_MAX  ((size_t)256 * 1024)

/* What a batch has to know, beside the outcomes, and remembers from one to the next. All zero but `options` at first.
 */
struct batch_style {
    const struct queue_options *options;
    struct time_text enqueued;
    struct time_text started;
    struct time_text finished;
};

struct batch_record {
    bool done;          /* simply: it is one of `entries`, and not of `others` */
    bool outcome;       /* it settles an entry; else it is a note */
    struct entry_id id; /* of the entry */
    size_t size;        /* in `entries` or `others`, in bytes */
    size_t values_size;
};

struct batch {
    struct msgpack entries; /* of jobs that are simply done */
    struct msgpack values;  /* of their reports */
    struct msgpack others;  /* the other outcomes, and notes */
    uint32_t done_count;
    uint32_t other_count;
    size_t copied; /* bytes of the messages that settle.lua reads and writes for the other outcomes */
    struct batch_record records[BATCH_RECORDS_MAX]; /* in the order in which they were added */
    size_t record_count;
};

/* Makes the batch empty: one that is all zero, too, has to be cleared before its first use. Errors: -ENOMEM, and then
 * it cannot be used. */
int batch_clear(struct batch *batch) MUST_CHECK;
void batch_done(struct batch *batch);

/* Whether another record would have Redis work on the batch for too long. */
bool batch_is_full(const struct batch *batch);

/* Ends the lists; nothing can be added until the batch is cleared. Errors: -ENOMEM: the batch is not complete. */
int batch_end(struct batch *batch) MUST_CHECK;

/* The record that settle.lua calls number `number`: it counts, from 1 on, those of `entries` and then those of
 * `others`. NULL: there is none. */
struct batch_record *batch_find(struct batch *batch, long long number);

/* How many of the records settle an entry. */
size_t batch_count_outcomes(const struct batch *batch);

/* Takes all records but those that are `kept`, a flag for each of them, out of a batch that has been ended. */
void batch_keep(struct batch *batch, const bool *kept);

/* These add a record. Errors: -ENOMEM, and then nothing has been added. */
int batch_add_settlement(struct batch *batch, struct batch_style *style,
                         const struct settlement *settlement) MUST_CHECK;
int batch_add_rejection(struct batch *batch, struct batch_style *style, const char *entry,
                        const struct message_rejection *rejection) MUST_CHECK;
int batch_add_forgotten(struct batch *batch, const char *entry) MUST_CHECK;
int batch_add_running(struct batch *batch, struct batch_style *style, const struct job *job, int64_t started_ms,
                      const char *progress) MUST_CHECK;
int batch_add_subtasks(struct batch *batch, const struct job *job, unsigned subtasks,
                       unsigned subtasks_failed) MUST_CHECK;
