/*
 * A settle queue: the batches of outcomes of one queue that have not been taken by Redis, in order. Nothing is sent
 * here.
 *
 * The states of a batch:
 *
 *     SPARE --> OPEN --> READY --> SENT --> SPARE
 *                          ^        |
 *                          +--------+  the connection is lost
 *                          |        v
 *                          +---- RESTING
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "context/macros.h"
#include "queue/keys.h"
#include "queue/redis/call.h"
#include "queue/redis/health.h"
#include "queue/settle/batch.h"

enum pending_batch_state {
    BATCH_SPARE,   /* empty, and of no queue */
    BATCH_OPEN,    /* takes records */
    BATCH_READY,   /* complete; to be sent, for the first time or again */
    BATCH_SENT,    /* until Redis answers */
    BATCH_RESTING, /* refused; until it is tried again */
};

/* What Redis has said to a batch so far, and will not take back. */
enum pending_batch_verdict {
    BATCH_UNDECIDED,
    BATCH_REFUSED, /* Redis did not take all of it */
    BATCH_REDUCED, /* to what Redis refuses; it has taken the rest */
};

struct pending_batch {
    struct call call;
    struct settle_queue *settle_queue;
    TAILQ_ENTRY(pending_batch) entry;
    enum pending_batch_state state; /* changed by pending_batch_set_state() only */
    enum pending_batch_verdict verdict;
    struct batch content;
    uint64_t serial; /* of the entry that is done last */
    bool adjacent;   /* the entries that are done lie side by side in the stream */
    size_t kept;     /* outcomes that Redis did not take */
};

TAILQ_HEAD(pending_batches, pending_batch);

/* Batches that are empty, for all settle queues. */
struct pending_batch_spares {
    struct pending_batches batches;
    size_t count;
};

struct settle_queue {
    struct settle *owner;
    size_t queue; /* its number */
    const struct queue_keys *keys;
    struct pending_batch_spares *spares;
    struct health_subject health;   /* of its outcomes */
    struct pending_batches batches; /* those that were sent come before those that never were */
    struct pending_batch *blamed;   /* the refused batch that the problem speaks of */
    size_t refused;                 /* batches */
    size_t kept;                    /* outcomes in them */
    unsigned in_flight;             /* batches */
};

/* The batch that takes the next record. Errors: -ENOMEM. */
int settle_queue_open(struct settle_queue *settle_queue, struct pending_batch **ret_batch) MUST_CHECK;

/* Takes a batch, which must not be spare or resting, to another state, as the diagram allows. A batch gets spare only
 * by pending_batch_remove(), and rests only by pending_batch_refuse(). */
void pending_batch_set_state(struct pending_batch *batch, enum pending_batch_state state);

/* Takes out a batch that Redis has taken; it is then spare. */
void pending_batch_remove(struct pending_batch *batch);

/* Redis did not take all of a batch, or (where `kept` is given, a flag for each record) only what is not kept, which is
 * left out from now on; the batch rests. Gives whether this is the one that the problem speaks of: where there are
 * several, it is one of them until it is taken. */
bool pending_batch_refuse(struct pending_batch *batch, const bool *kept);

/* Frees the batches. */
void pending_batches_free(struct pending_batches *batches);
