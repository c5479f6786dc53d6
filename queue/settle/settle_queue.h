/*
 * A settle queue: the batches of outcomes of one queue that have not been taken by Redis, in order. Nothing is sent
 * here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/redis/health.h"
#include "queue/redis/script.h"
#include "queue/settle/batch.h"

struct pending_batch {
    struct script_call call;
    struct settle_queue *settle_queue;
    struct pending_batch *next;
    struct batch content;
    uint64_t serial; /* of the entry that is done last */
    bool adjacent;   /* the entries that are done lie side by side in the stream */
    bool sent;
    bool ended;   /* it takes no more records */
    bool refused; /* Redis did not take all of it */
    bool reduced; /* to what Redis refuses; it has taken the rest */
    bool resting; /* until it is tried again */
    size_t kept;  /* outcomes that Redis did not take */
};

/* Batches that are empty, for all settle queues. All zero at first. */
struct pending_batch_spares {
    struct pending_batch *first;
    size_t count;
};

/* All zero at first, but for the first ones. */
struct settle_queue {
    void *owner;
    size_t queue; /* its number */
    struct pending_batch_spares *spares;
    struct health_subject health; /* of its outcomes */
    struct pending_batch *first;  /* those that were sent come before those that never were */
    struct pending_batch *last;
    struct pending_batch *blamed; /* the refused batch that the problem speaks of */
    size_t refused;               /* batches */
    size_t kept;                  /* outcomes in them */
    unsigned in_flight;           /* batches */
};

/* The batch that takes the next record. Errors: -ENOMEM. */
int settle_queue_open(struct settle_queue *settle_queue, struct pending_batch **ret_batch) MUST_CHECK;

/* Takes out a batch, which is then spare. */
void pending_batch_remove(struct pending_batch *batch);

/* Notes that Redis did not take all of a batch. Gives whether this is the one that the problem speaks of: where there
 * are several, it is one of them until it is taken. */
bool pending_batch_refuse(struct pending_batch *batch);

/* Counts what is left in a refused batch: again after that has become less. */
void settle_queue_count_kept(struct pending_batch *batch);

/* Frees the batches. */
void settle_queue_done(struct settle_queue *settle_queue);
void pending_batch_spares_done(struct pending_batch_spares *spares);
