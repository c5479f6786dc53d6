/*
 * A lane: the batches of outcomes of one queue that have not been taken by Redis, in order. Nothing is sent here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/redis/connection.h"
#include "queue/redis/health.h"
#include "queue/settle/batch.h"

struct lane_batch {
    struct redis_request request; /* first, so that the one is found from the other */
    struct lane *lane;
    struct lane_batch *next;
    struct batch content;
    uint64_t serial; /* of the entry that is done last */
    bool adjacent;   /* the entries that are done lie side by side in the stream */
    bool sent;
    bool ended;       /* it takes no more records */
    bool with_source; /* Redis does not know the script any more */
    bool refused;     /* Redis did not take all of it */
    bool reduced;     /* to what Redis refuses; it has taken the rest */
    bool resting;     /* until it is tried again */
    size_t kept;      /* outcomes that Redis did not take */
};

/* Batches that are empty, for all lanes. All zero at first. */
struct lane_spares {
    struct lane_batch *first;
    size_t count;
};

/* All zero at first, but for the first ones. */
struct lane {
    void *owner;
    size_t queue; /* its number */
    struct lane_spares *spares;
    struct trouble_subject trouble; /* of its outcomes */
    struct lane_batch *first;       /* those that were sent come before those that never were */
    struct lane_batch *last;
    struct lane_batch *blamed; /* the refused batch that the trouble speaks of */
    size_t refused;            /* batches */
    size_t kept;               /* outcomes in them */
    unsigned in_flight;        /* batches */
};

/* The batch that takes the next record. Errors: -ENOMEM. */
int lane_open(struct lane *lane, struct lane_batch **ret_batch) MUST_CHECK;

/* Takes out a batch, which is then spare. */
void lane_remove(struct lane_batch *batch);

/* Notes that Redis did not take all of a batch. Gives whether this is the one that the trouble speaks of: where there
 * are several, it is one of them until it is taken. */
bool lane_refuse(struct lane_batch *batch);

/* Counts what is left in a refused batch: again after that has become less. */
void lane_count_kept(struct lane_batch *batch);

/* Frees the batches. */
void lane_done(struct lane *lane);
void lane_spares_done(struct lane_spares *spares);
