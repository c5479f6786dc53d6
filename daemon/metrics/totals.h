/*
 * Totals: tallies of several workers added up. They go by names, since workers of different configurations number their
 * queues and types differently.
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"
#include "daemon/scoreboard/tally.h"

struct totals_cell {
    char *queue;
    char *type; /* empty: those that no configuration has */
    struct tally_cell sum;
};

struct totals_queue {
    char *queue;
    struct tally_queue sum;
};

/* All zero at first. */
struct totals {
    struct totals_cell *cells;
    size_t cell_count;
    struct totals_queue *queues;
    size_t queue_count;
};

/* Adds what a worker has counted; of one that is `gone`, nothing is running any more. Errors: -ENOMEM, and then a part
 * is missing. */
int totals_add_tally(struct totals *totals, const struct tally *tally, bool gone) MUST_CHECK;

/* Adds other totals. Errors: as above. */
int totals_add(struct totals *totals, const struct totals *others) MUST_CHECK;

/* Frees what the struct holds, which is all zero then. */
void totals_done(struct totals *totals);
