/*
 * The scoreboard: memory that the supervisor shares with its workers. What a worker has written there survives the
 * worker.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Log outputs at the most; each process has a buffer for each of them. */
#define SCOREBOARD_OUTPUTS_MAX 4
#define SCOREBOARD_BUFFER_SIZE (1024 * 1024)

/* Bytes of a log output that have not been written yet: from `begin` to `end`. */
struct scoreboard_buffer {
    atomic_size_t begin;
    atomic_size_t end;
    char bytes[SCOREBOARD_BUFFER_SIZE];
};

/* One process's part. The supervisor has number 0, workers count from 1. */
struct scoreboard_slot {
    atomic_uint_fast64_t jobs_done;
    atomic_uint_fast64_t jobs_failed; /* dead letters, cancelled ones not among them */
    atomic_uint_fast64_t in_flight;
    atomic_int ready; /* plugins are loaded and the queues are being read */

    /* Left behind at the end: what should be 0. */
    atomic_long live_contexts;
    atomic_long live_tasks;
    atomic_long live_jobs;

    struct scoreboard_buffer outputs[SCOREBOARD_OUTPUTS_MAX];
};

struct scoreboard {
    struct scoreboard_slot *slots;
    size_t count;
};

/* Maps `count` empty slots, to be shared with the children that are forked from then on. Errors: -ENOMEM. */
int scoreboard_init(struct scoreboard *scoreboard, size_t count) __attribute__((warn_unused_result));
void scoreboard_done(struct scoreboard *scoreboard);
