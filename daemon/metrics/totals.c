#include "daemon/metrics/totals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Finding ---- */

/* Grown by one place at a time: there are as many as configurations name, ever. */
static int find_cell(struct totals *totals, const char *queue, const char *type, struct totals_cell **ret_cell)
{
    for (size_t i = 0; i < totals->cell_count; i++) {
        *ret_cell = &totals->cells[i];
        if (strcmp((*ret_cell)->queue, queue) == 0 && strcmp((*ret_cell)->type, type) == 0)
            return 0;
    }

    struct totals_cell cell = {.queue = strdup(queue), .type = strdup(type)};
    struct totals_cell *cells = reallocarray(totals->cells, totals->cell_count + 1, sizeof(*cells));
    if (cells)
        totals->cells = cells;
    if (!cells || !cell.queue || !cell.type) {
        free(cell.queue);
        free(cell.type);
        return -ENOMEM;
    }
    *ret_cell = &cells[totals->cell_count++];
    **ret_cell = cell;
    return 0;
}

static int find_queue(struct totals *totals, const char *queue, struct totals_queue **ret_queue)
{
    for (size_t i = 0; i < totals->queue_count; i++) {
        *ret_queue = &totals->queues[i];
        if (strcmp((*ret_queue)->queue, queue) == 0)
            return 0;
    }

    struct totals_queue found = {.queue = strdup(queue)};
    struct totals_queue *queues = reallocarray(totals->queues, totals->queue_count + 1, sizeof(*queues));
    if (queues)
        totals->queues = queues;
    if (!queues || !found.queue) {
        free(found.queue);
        return -ENOMEM;
    }
    *ret_queue = &queues[totals->queue_count++];
    **ret_queue = found;
    return 0;
}

/* ---- Adding ---- */

static int add_cell(struct totals *totals, const char *queue, const char *type, const struct tally_cell *more,
                    bool gone)
{
    struct totals_cell *cell;

    /* Nothing of it was ever seen. */
    uint64_t seen = counter_get(&more->attempts);
    for (size_t i = 0; i < TALLY_OUTCOMES; i++)
        seen += counter_get(&more->outcomes[i]);
    if (seen == 0)
        return 0;

    int r = find_cell(totals, queue, type, &cell);
    if (r < 0)
        return r;
    counter_add(&cell->sum.attempts, counter_get(&more->attempts));
    for (size_t i = 0; i < TALLY_OUTCOMES; i++)
        counter_add(&cell->sum.outcomes[i], counter_get(&more->outcomes[i]));
    if (!gone)
        counter_add(&cell->sum.running, counter_get(&more->running));
    counter_add(&cell->sum.subtasks, counter_get(&more->subtasks));
    counter_add(&cell->sum.subtasks_failed, counter_get(&more->subtasks_failed));
    histogram_merge(&cell->sum.durations, &more->durations);
    return 0;
}

static int add_queue(struct totals *totals, const char *queue, const struct tally_queue *more)
{
    struct totals_queue *found;
    int r = find_queue(totals, queue, &found);

    if (r == 0)
        histogram_merge(&found->sum.waits, &more->waits);
    return r;
}

int totals_add_tally(struct totals *totals, const struct tally *tally, bool gone)
{
    const struct config *config = tally->config;
    int r = 0;

    for (size_t i = 0; i < config->queue_count && r == 0; i++) {
        r = add_queue(totals, config->queues[i].name, &tally->queues[i]);
        for (size_t j = 0; j <= config->job_count && r == 0; j++)
            r = add_cell(totals, config->queues[i].name, j < config->job_count ? config->jobs[j].type : "",
                         tally_cell(tally, i, j), gone);
    }
    return r;
}

int totals_add(struct totals *totals, const struct totals *others)
{
    int r = 0;

    for (size_t i = 0; i < others->queue_count && r == 0; i++)
        r = add_queue(totals, others->queues[i].queue, &others->queues[i].sum);
    for (size_t i = 0; i < others->cell_count && r == 0; i++)
        r = add_cell(totals, others->cells[i].queue, others->cells[i].type, &others->cells[i].sum, false);
    return r;
}

void totals_done(struct totals *totals)
{
    for (size_t i = 0; i < totals->cell_count; i++) {
        free(totals->cells[i].queue);
        free(totals->cells[i].type);
    }
    for (size_t i = 0; i < totals->queue_count; i++)
        free(totals->queues[i].queue);
    free(totals->cells);
    free(totals->queues);
    *totals = (struct totals){0};
}
