#include "queue/settle/settle_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <weft/log.h>

#define SPARES_MAX 8

#define FROM(state_) (1U << (state_))

static const struct {
    const char *name;
    unsigned from; /* the states that it may follow */
} states[] = {
    [BATCH_SPARE] = {"taken", FROM(BATCH_SENT)},
    [BATCH_OPEN] = {"open", FROM(BATCH_SPARE)},
    [BATCH_READY] = {"ready", FROM(BATCH_OPEN) | FROM(BATCH_SENT) | FROM(BATCH_RESTING)},
    [BATCH_SENT] = {"sent", FROM(BATCH_READY)},
    [BATCH_RESTING] = {"refused", FROM(BATCH_SENT)},
};

void pending_batch_set_state(struct pending_batch *batch, enum pending_batch_state state)
{
    struct settle_queue *settle_queue = batch->settle_queue;

    assert(states[state].from & FROM(batch->state));
    assert(batch->state != BATCH_SENT || settle_queue->in_flight > 0);
    settle_queue->in_flight -= batch->state == BATCH_SENT;
    settle_queue->in_flight += state == BATCH_SENT;
    batch->state = state;
    if (state != BATCH_OPEN) /* which is when a job's record comes into it, and nothing yet */
        weft_debug("queue %s: a batch of %zu outcomes and reports is %s", settle_queue->keys->queue,
                   batch->content.record_count, states[state].name);
}

static struct pending_batch *free_batch(struct pending_batch *batch)
{
    if (batch)
        batch_done(&batch->content);
    free(batch);
    return NULL;
}

static struct pending_batch *take_spare(struct pending_batch_spares *spares)
{
    struct pending_batch *batch = TAILQ_FIRST(&spares->batches);

    if (batch) {
        TAILQ_REMOVE(&spares->batches, batch, entry);
        spares->count--;
    } else {
        batch = calloc(1, sizeof(*batch));
    }
    if (batch && batch_clear(&batch->content) < 0)
        return free_batch(batch);
    return batch;
}

int settle_queue_open(struct settle_queue *settle_queue, struct pending_batch **ret_batch)
{
    struct pending_batch *batch = TAILQ_LAST(&settle_queue->batches, pending_batches);

    if (!batch || batch->state != BATCH_OPEN || batch_is_full(&batch->content)) {
        batch = take_spare(settle_queue->spares);
        if (!batch)
            return -ENOMEM;
        batch->settle_queue = settle_queue;
        batch->verdict = BATCH_UNDECIDED;
        batch->adjacent = true;
        batch->kept = 0;
        pending_batch_set_state(batch, BATCH_OPEN);
        TAILQ_INSERT_TAIL(&settle_queue->batches, batch, entry);
    }
    *ret_batch = batch;
    return 0;
}

void pending_batch_remove(struct pending_batch *batch)
{
    struct settle_queue *settle_queue = batch->settle_queue;
    struct pending_batch_spares *spares = settle_queue->spares;

    pending_batch_set_state(batch, BATCH_SPARE);
    TAILQ_REMOVE(&settle_queue->batches, batch, entry);
    if (settle_queue->blamed == batch)
        settle_queue->blamed = NULL;
    if (batch->verdict != BATCH_UNDECIDED && --settle_queue->refused == 0)
        health_clear_problem(&settle_queue->health);
    settle_queue->kept -= batch->kept;
    /* Memory that one huge result needed is not kept. */
    if (spares->count == SPARES_MAX || batch->content.others.capacity > BATCH_BYTES_MAX) {
        free_batch(batch);
        return;
    }
    TAILQ_INSERT_HEAD(&spares->batches, batch, entry);
    spares->count++;
}

bool pending_batch_refuse(struct pending_batch *batch, const bool *kept)
{
    struct settle_queue *settle_queue = batch->settle_queue;

    settle_queue->refused += batch->verdict == BATCH_UNDECIDED;
    if (kept) {
        batch_keep(&batch->content, kept);
        batch->adjacent = false;
        batch->verdict = BATCH_REDUCED;
    } else if (batch->verdict == BATCH_UNDECIDED) {
        batch->verdict = BATCH_REFUSED;
    }
    settle_queue->kept -= batch->kept;
    batch->kept = batch_count_outcomes(&batch->content);
    settle_queue->kept += batch->kept;
    pending_batch_set_state(batch, BATCH_RESTING);
    if (!settle_queue->blamed)
        settle_queue->blamed = batch;
    return settle_queue->blamed == batch;
}

void pending_batches_free(struct pending_batches *batches)
{
    for (struct pending_batch *batch; (batch = TAILQ_FIRST(batches)) != NULL;) {
        TAILQ_REMOVE(batches, batch, entry);
        free_batch(batch);
    }
}
