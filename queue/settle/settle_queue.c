#include "queue/settle/settle_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SPARES_MAX 8

static struct pending_batch *free_batch(struct pending_batch *batch)
{
    if (batch)
        batch_done(&batch->content);
    free(batch);
    return NULL;
}

/* Memory that one huge result needed is not kept. */
static void spare_batch(struct pending_batch_spares *spares, struct pending_batch *batch)
{
    if (spares->count == SPARES_MAX || batch->content.others.capacity > BATCH_BYTES_MAX) {
        free_batch(batch);
        return;
    }
    batch->next = spares->first;
    spares->first = batch;
    spares->count++;
}

static struct pending_batch *take_spare(struct pending_batch_spares *spares)
{
    struct pending_batch *batch = spares->first;

    if (batch) {
        spares->first = batch->next;
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
    struct pending_batch *batch = settle_queue->last;

    if (batch && !batch->ended && !batch->refused && !batch_is_full(&batch->content)) {
        *ret_batch = batch;
        return 0;
    }
    batch = take_spare(settle_queue->spares);
    if (!batch)
        return -ENOMEM;
    batch->settle_queue = settle_queue;
    batch->next = NULL;
    batch->adjacent = true;
    batch->sent = false;
    batch->ended = false;
    batch->refused = false;
    batch->reduced = false;
    batch->resting = false;
    batch->kept = 0;
    if (settle_queue->last)
        settle_queue->last->next = batch;
    else
        settle_queue->first = batch;
    settle_queue->last = batch;
    *ret_batch = batch;
    return 0;
}

void pending_batch_remove(struct pending_batch *batch)
{
    struct settle_queue *settle_queue = batch->settle_queue;
    struct pending_batch *before = NULL;

    assert(!batch->sent);
    for (struct pending_batch *other = settle_queue->first; other != batch; other = other->next)
        before = other;
    if (before)
        before->next = batch->next;
    else
        settle_queue->first = batch->next;
    if (settle_queue->last == batch)
        settle_queue->last = before;
    if (settle_queue->blamed == batch)
        settle_queue->blamed = NULL;
    if (batch->refused && --settle_queue->refused == 0)
        health_clear_problem(&settle_queue->health);
    settle_queue->kept -= batch->kept;
    spare_batch(settle_queue->spares, batch);
}

bool pending_batch_refuse(struct pending_batch *batch)
{
    struct settle_queue *settle_queue = batch->settle_queue;

    if (!batch->refused)
        settle_queue->refused++;
    batch->refused = true;
    batch->resting = true;
    if (!settle_queue->blamed)
        settle_queue->blamed = batch;
    settle_queue_count_kept(batch);
    return settle_queue->blamed == batch;
}

void settle_queue_count_kept(struct pending_batch *batch)
{
    batch->settle_queue->kept -= batch->kept;
    batch->kept = 0;
    for (size_t i = 0; i < batch->content.record_count; i++)
        batch->kept += batch->content.records[i].outcome;
    batch->settle_queue->kept += batch->kept;
}

static void free_batches(struct pending_batch *batch)
{
    while (batch) {
        struct pending_batch *next = batch->next;

        free_batch(batch);
        batch = next;
    }
}

void settle_queue_done(struct settle_queue *settle_queue)
{
    free_batches(settle_queue->first);
}

void pending_batch_spares_done(struct pending_batch_spares *spares)
{
    free_batches(spares->first);
}
