#include "queue/settle/settle_queue.h"

#include <errno.h>
#include <stdlib.h>

#define SPARES_MAX 8

static struct lane_batch *free_batch(struct lane_batch *batch)
{
    if (batch)
        batch_done(&batch->content);
    free(batch);
    return NULL;
}

/* Memory that one huge result needed is not kept. */
static void spare_batch(struct lane_spares *spares, struct lane_batch *batch)
{
    if (spares->count == SPARES_MAX || batch->content.others.capacity > BATCH_BYTES_MAX) {
        free_batch(batch);
        return;
    }
    batch->next = spares->first;
    spares->first = batch;
    spares->count++;
}

static struct lane_batch *take_spare(struct lane_spares *spares)
{
    struct lane_batch *batch = spares->first;

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

int lane_open(struct lane *lane, struct lane_batch **ret_batch)
{
    struct lane_batch *batch = lane->last;

    if (batch && !batch->ended && !batch->refused && !batch_is_full(&batch->content)) {
        *ret_batch = batch;
        return 0;
    }
    batch = take_spare(lane->spares);
    if (!batch)
        return -ENOMEM;
    batch->lane = lane;
    batch->next = NULL;
    batch->adjacent = true;
    batch->sent = false;
    batch->ended = false;
    batch->with_source = false;
    batch->refused = false;
    batch->reduced = false;
    batch->resting = false;
    batch->kept = 0;
    if (lane->last)
        lane->last->next = batch;
    else
        lane->first = batch;
    lane->last = batch;
    *ret_batch = batch;
    return 0;
}

static void unlink_batch(struct lane_batch *batch)
{
    struct lane *lane = batch->lane;
    struct lane_batch *before = NULL;

    for (struct lane_batch *other = lane->first; other != batch; other = other->next)
        before = other;
    if (before)
        before->next = batch->next;
    else
        lane->first = batch->next;
    if (lane->last == batch)
        lane->last = before;
}

void lane_remove(struct lane_batch *batch)
{
    struct lane *lane = batch->lane;

    unlink_batch(batch);
    if (lane->blamed == batch)
        lane->blamed = NULL;
    if (batch->refused && --lane->refused == 0)
        trouble_end(&lane->trouble);
    lane->kept -= batch->kept;
    spare_batch(lane->spares, batch);
}

bool lane_refuse(struct lane_batch *batch)
{
    struct lane *lane = batch->lane;

    if (!batch->refused)
        lane->refused++;
    batch->refused = true;
    batch->resting = true;
    if (!lane->blamed)
        lane->blamed = batch;
    lane_count_kept(batch);
    return lane->blamed == batch;
}

void lane_count_kept(struct lane_batch *batch)
{
    batch->lane->kept -= batch->kept;
    batch->kept = 0;
    for (size_t i = 0; i < batch->content.record_count; i++)
        batch->kept += batch->content.records[i].outcome;
    batch->lane->kept += batch->kept;
}

static void free_batches(struct lane_batch *batch)
{
    while (batch) {
        struct lane_batch *next = batch->next;

        free_batch(batch);
        batch = next;
    }
}

void lane_done(struct lane *lane)
{
    free_batches(lane->first);
}

void lane_spares_done(struct lane_spares *spares)
{
    free_batches(spares->first);
}
