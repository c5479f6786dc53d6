/*
 * The tally: what a worker counts of its jobs, by queue and type, in memory that the supervisor shares.
 */
#pragma once

#include <stddef.h>

#include "context/job.h"
#include "daemon/config/config.h"
#include "daemon/metrics/histogram.h"

#define TALLY_OUTCOMES (JOB_DUPLICATE + 1)

/* The jobs of one type in one queue. */
struct tally_cell {
    atomic_uint_fast64_t attempts; /* that were started */
    atomic_uint_fast64_t outcomes[TALLY_OUTCOMES];
    atomic_uint_fast64_t running; /* attempts that were started and have no outcome yet */
    atomic_uint_fast64_t subtasks;
    atomic_uint_fast64_t subtasks_failed;
    struct histogram durations; /* of attempts that ended by themselves */
};

/* One queue. */
struct tally_queue {
    struct histogram waits; /* of jobs that were ready, for a worker */
};

struct tally {
    const struct config *config; /* names the queues and types */
    struct tally_queue *queues;
    struct tally_cell *cells; /* of each queue: one for each type, in the order of the configuration, and one for types
                                 that it does not have */
};

/* Bytes of memory for it. */
size_t tally_size(const struct config *config);

/* `memory`: tally_size() zeroed bytes, aligned for any type, that outlive the tally, as `config` must. */
void tally_init(struct tally *tally, void *memory, const struct config *config);

/* The number of a queue of the configuration, which `queue` must be. */
size_t tally_find_queue(const struct tally *tally, const char *queue);

/* The number of a type; that of all unknown ones is config->job_count. NULL is unknown. */
size_t tally_find_type(const struct tally *tally, const char *type);

/* The cell of a queue and a type, by their numbers. */
struct tally_cell *tally_cell(const struct tally *tally, size_t queue, size_t type);
