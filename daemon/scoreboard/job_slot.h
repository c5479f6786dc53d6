/*
 * Job slots: one for each job that exists in a worker, in memory that the supervisor shares. When the worker has
 * crashed, the supervisor settles its culprit from the job slot, and writes lines in the contexts of the jobs that it
 * held.
 *
 * The worker writes job slots and the supervisor reads them, trusting nothing: a process that crashes may have written
 * anywhere.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

#include "context/job.h"

#define JOB_SLOT_SIZE      1024
#define JOB_SLOT_TEXT_SIZE 960

enum job_slot_state {
    JOB_SLOT_FREE,
    JOB_SLOT_RUNNING, /* waits for its start, or its chain runs */
    JOB_SLOT_ENDED,   /* its outcome was told, and its context lives on in what it started */
};

/* What a job is called, at the beginning of the text in this order; an absent one has no bytes but its NUL. */
enum job_slot_name {
    JOB_SLOT_NAME_ID,
    JOB_SLOT_NAME_TYPE,
    JOB_SLOT_NAME_QUEUE,
    JOB_SLOT_NAME_ROOT,
    JOB_SLOT_NAME_TRACE,
    JOB_SLOT_NAME_SPAN,
    JOB_SLOT_NAME_ENTRY,
    JOB_SLOT_NAMES,
};

/* What stands before each piece of metadata. */
struct job_slot_field {
    uint16_t name_size;
    uint16_t size;
};

struct job_slot {
    atomic_uintptr_t running_job;    /* the job's identity, as running_job_set() leaves it */
    atomic_int_fast64_t deadline_us; /* when its time-out ends (CLOCK_MONOTONIC); 0: it has not started */
    atomic_int_fast64_t heard_us;    /* since when it has known that its time is over; 0: it cannot know yet */
    atomic_int_fast64_t started_ms;  /* Unix time; 0: it has not started */
    int64_t enqueued_ms;
    uint32_t attempt;
    uint32_t attempts; /* that it is allowed */
    uint16_t sizes[JOB_SLOT_NAMES];
    uint16_t used; /* bytes of the text */

    /* The names, then the metadata: each a struct job_slot_field, a name, a NUL, a value, a NUL. */
    char text[JOB_SLOT_TEXT_SIZE];
};

_Static_assert(sizeof(struct job_slot) == JOB_SLOT_SIZE, "a slot is as large as it says");

/* The job slots of one worker, as each side sees them. The states are kept apart from the job slots so that a free one
 * is found without going through all that memory. */
struct job_slot_table {
    atomic_uchar *states; /* enum job_slot_state */
    struct job_slot *job_slots;
    size_t capacity;
    size_t last;          /* where a free one was found last */
    unsigned char *pages; /* of the job slots: enum job_slot_page; the worker's own business */
    size_t page_size;
};

/* Bytes of memory for so many job slots. */
size_t job_slot_table_size(size_t capacity);

/* `memory`: job_slot_table_size() zeroed bytes, aligned as a page is, that outlive the table. Made before the fork, so
 * that the supervisor need not believe what it finds there later. */
void job_slot_table_init(struct job_slot_table *table, void *memory, size_t capacity);

/* ---- The worker's side ---- */

/* A job slot with what is known of the job, or NULL if none is free. On the loop's thread. */
struct job_slot *job_slot_take(struct job_slot_table *table, const struct weft_job *job);

/* Gives back the memory of pages on which no job slot is in use, and none has been taken since the call before this
 * one. On the loop's thread, every second or so; costs a system call only after a peak. */
void job_slot_table_trim(struct job_slot_table *table);

/* Notes when the job started, and its deadline. The functions from here on do nothing for a NULL job slot. */
void job_slot_start(struct job_slot *job_slot, const struct weft_job *job);

/* Notes since when (CLOCK_MONOTONIC) the job has known that its time is over: the loop has turned to it since, if it
 * was for the loop that it waited. 0: not yet. */
void job_slot_hear(struct job_slot *job_slot, int64_t since_us);

/* The job's chain has ended and its outcome was told. */
void job_slot_end(const struct job_slot_table *table, const struct job_slot *job_slot);

/* The last frame of the job is gone. From any thread. */
void job_slot_drop(const struct job_slot_table *table, const struct job_slot *job_slot);

/* ---- The supervisor's side ---- */

/* The state of the job slot at `place`, which is below the capacity. */
enum job_slot_state job_slot_state(const struct job_slot_table *table, size_t place);

/* The job slot in use that has this identity, or NULL; 0 has none. */
const struct job_slot *job_slot_find_running(const struct job_slot_table *table, uintptr_t running_job);
