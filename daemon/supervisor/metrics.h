/*
 * The metrics of a node: what its workers, those that have ended too, have counted in the scoreboard, and what Redis
 * says of the queues.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/buffer.h>

#include "daemon/metrics/totals.h"
#include "daemon/supervisor/worker_pool.h"
#include "queue/maintenance/sample.h"

/* What made a worker end that was to go on. */
enum metrics_cause {
    METRICS_SIGNAL,
    METRICS_EXIT,
    METRICS_OUT_OF_MEMORY,
    METRICS_FAULT, /* and from here on, enum worker_fault from its first one */
    METRICS_CAUSES = METRICS_FAULT + WORKER_LATE,
};

#define METRICS_LEVELS 4 /* of log lines */

struct metrics {
    struct totals gone; /* of workers that have ended */
    uint64_t gone_lines[METRICS_LEVELS];
    uint64_t gone_lines_lost;
    uint64_t gone_abandoned;
    uint64_t crashes[METRICS_CAUSES];
    struct histogram round_trips;
    unsigned sampled; /* the number of the generation whose queues the samples are of */
    struct queue_sample *samples;
    int64_t sampled_us;
    int64_t asked_us;
    int64_t scraped_us; /* 0: never */
};

/* A worker has ended; `crashed`: it was to go on. */
void metrics_note_end(struct metrics *metrics, const struct worker_process *worker, bool crashed, bool out_of_memory);

/* Redis has said how full the queues of `generation` are. */
void metrics_note_samples(struct metrics *metrics, const struct generation *generation,
                          const struct queue_sample *samples, int64_t round_trip_us);

/* Somebody asks for the metrics: Redis is asked more often for a while where there are many queues. */
void metrics_note_scrape(struct metrics *metrics);

/* A few times a second: asks Redis once a second, of five queues in turn, or of a hundred while somebody scrapes. */
void metrics_tend(struct metrics *metrics, const struct worker_pool *pool);

/* Writes them all, in Prometheus's text format. `slot` is the supervisor's own. */
void metrics_write(const struct metrics *metrics, const struct worker_pool *pool, const struct scoreboard_slot *slot,
                   bool redis_answers, struct evbuffer *buffer);

/* Frees what the struct holds. */
void metrics_done(struct metrics *metrics);
