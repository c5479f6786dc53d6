/*
 * The job record: one message, parsed and checked. Plain data that passes from queue/ through daemon/ to handlers/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define JOB_METADATA_MAX   64          /* fields of a message */
#define JOB_METADATA_BYTES (16 * 1024) /* of their names and values together */

struct job_field {
    const char *name;
    const char *value; /* `size` bytes and a NUL */
    size_t size;
};

/* Everything points into the record's own block, is NUL-terminated, and lives as long as the record. Absent strings are
 * NULL unless said otherwise. */
struct job {
    const char *id; /* the job ID; stays the same over retries */
    const char *type;
    const char *queue;
    const char *entry; /* the ID of its entry in the stream */
    const char *root;  /* job ID of the first ancestor; equal to `id` where there is none */
    const char *parent;
    const char *trace_id;       /* 32 hex digits, from a valid traceparent */
    const char *parent_span_id; /* 16 hex digits */
    const char *trace_flags;    /* 2 hex digits */
    const char *tracestate;
    const char *unique;
    const char *duplicate_of; /* job ID of the one that had the unique key when this one was enqueued */
    const char *payload;      /* never NULL */
    size_t payload_size;
    const struct job_field *metadata;
    size_t metadata_count;

    unsigned attempt;      /* the number of this run, from 1 */
    unsigned attempts;     /* as the message wants; 0: as its type has it */
    int64_t timeout_ms;    /* as the message wants; 0: as its type has it */
    int64_t unique_for_ms; /* 0: not said */
    int unique_held;       /* the unique key is this job's, or was */
    int64_t due_ms;        /* Unix time before which it must not run; 0: at once */
    int64_t enqueued_ms;   /* Unix time of the first enqueueing */
    int bad_traceparent;   /* there was one, and it was not valid */
};

/* How an attempt ended. */
enum job_outcome {
    JOB_DONE,      /* report, gone from the stream */
    JOB_RETRY,     /* back again after a delay */
    JOB_DEAD,      /* a dead letter */
    JOB_CANCELLED, /* report, gone from the stream */
    JOB_DELAYED,   /* not due yet: moved to the delayed ones, not an attempt */
    JOB_RETURNED,  /* not run to its end through no fault of its own: back to the queue, not an attempt */
    JOB_DUPLICATE, /* another job has its unique key: report, gone from the stream, not an attempt */
};

/* Frees a record; takes NULL, gives NULL. */
struct job *job_free(struct job *job);
