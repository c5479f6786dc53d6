/*
 * The scoreboard: memory that the supervisor shares with its workers. What a worker has written there survives the
 * worker. Each process has a slot of its own, mapped before the fork, so that there may be any number of them. Only the
 * process that a slot is for writes it; the supervisor reads those of its workers.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/crash/crash.h"

#define SCOREBOARD_PROBLEM_SIZE 512

/* One process's part. */
struct scoreboard_slot {
    size_t size; /* of the mapping */

    atomic_uint_fast64_t jobs_done;
    atomic_uint_fast64_t jobs_failed; /* dead letters, cancelled ones not among them */
    atomic_uint_fast64_t in_flight;
    atomic_uint_fast64_t log_lines[4]; /* by enum weft_level */
    atomic_uint_fast64_t log_lines_lost;
    atomic_int log_waits; /* threads that wait for an output that is full */
    atomic_long contexts; /* frames that are in use */
    atomic_long tasks;
    atomic_long offload_threads;
    atomic_long offload_abandoned;                /* calls that were given up and have not returned */
    atomic_uint_fast64_t offload_abandoned_total; /* calls that were given up; with any, the worker is to be replaced */
    atomic_int ready;                             /* plugins are loaded and the queues are being read */
    atomic_int leaving;                           /* it has begun to end, and reads the queues no more */
    atomic_int_fast64_t heartbeat_us; /* CLOCK_MONOTONIC: when the loop last turned, and fetched as it should */

    /* What the process has to say of Redis: an odd number of news means that something is wrong, which `problem` tells.
     */
    atomic_uint redis_news;
    char redis_problem[SCOREBOARD_PROBLEM_SIZE];

    /* Left behind at the end: what should be 0. */
    atomic_long live_contexts;
    atomic_long live_tasks;
    atomic_long live_jobs;

    struct crash_record crash;
};

/* Maps an empty slot with `more` bytes behind it, to be shared with children that are forked from then on. Errors:
 * -ENOMEM. */
int scoreboard_slot_new(size_t more, struct scoreboard_slot **ret_slot) MUST_CHECK;

/* The bytes behind the slot, aligned as a page is. */
void *scoreboard_slot_more(struct scoreboard_slot *slot);

/* Unmaps it, in this process. Takes NULL, gives NULL. */
struct scoreboard_slot *scoreboard_slot_free(struct scoreboard_slot *slot);

/* Notes what is wrong with Redis; NULL: nothing any more. From the process that owns the slot. */
void scoreboard_note_redis(struct scoreboard_slot *slot, const char *problem);
