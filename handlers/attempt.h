/*
 * One attempt of a job: what <weft/weft.h> calls a struct weft_job. It is owned by the job's context: when the last
 * frame of the job is gone, so is the attempt, with the job record and the job's memory.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/weft.h>

#include "context/job.h"
#include "context/job_frame.h"
#include "context/task/timer.h"
#include "handlers/memory.h"
#include "handlers/retry.h"

struct runner;
struct seed;

/* How the jobs of one type are run. */
struct job_type {
    const char *name;
    size_t number; /* for its owner */
    const struct weft_handler *const *chain;
    size_t chain_size;
    unsigned attempts;
    int64_t timeout_ms;
    bool blocking; /* the chain runs on a thread of the pool */
    struct retry_backoff backoff;
};

/* What a handler said about the failure that it returned. */
enum verdict { VERDICT_NONE, VERDICT_FAIL, VERDICT_RETRY };

/* Why an attempt was interrupted. */
enum interruption {
    INTERRUPTED_NOT,
    INTERRUPTED_TIMEOUT,
    INTERRUPTED_SHUTDOWN,
    INTERRUPTED_CANCEL,
    INTERRUPTED_LOST, /* another worker has the job */
};

struct deferred {
    void (*fn)(void *arg);
    void *arg;
    struct deferred *next;
};

#define ATTEMPT_SPAN_ID_SIZE 17

struct weft_job {
    struct timer timeout; /* first; then the one that gives a call up which does not return */
    struct runner *runner;
    struct job *record;
    size_t payload_size; /* of the record, which may be gone before the attempt is */
    const struct job_type *type;
    struct weft_task *task;                  /* while the chain runs */
    LIST_ENTRY(weft_job) among_running;      /* likewise: the runner's list of those */
    TAILQ_ENTRY(weft_job) among_active;      /* the active jobs */
    const struct seed *seed;                 /* of its context: tells how much of that is left */
    size_t position;                         /* in the chain: the next handler */
    bool rest_ran;                           /* weft_next() has been called at the end of the chain, or has ended */
    _Atomic(const struct weft_handler *) at; /* the handler that runs, or was the last to */

    /* Under the lock, since functions of the job may be called from threads of weft_offload()'s, until the outcome is
     * decided: then it is closed, and nothing of this changes any more. */
    pthread_mutex_t lock;
    bool closed;
    struct memory memory; /* never closed */
    struct deferred *deferred;
    enum verdict verdict;
    uint64_t retry_ms;
    char *error;                        /* in the job's memory */
    char *stack;                        /* likewise: what led to an error that is not of the chain itself; or NULL */
    const struct weft_handler *culprit; /* the handler that failed */
    int culprit_result;
    char *result;
    size_t result_size;
    char *progress;
    /* Up to here. */

    enum interruption interruption;
    int64_t started_ms;    /* Unix time */
    int64_t started_us;    /* CLOCK_MONOTONIC */
    int64_t log_waited_us; /* what log_waited_us() was then */
    bool queued;           /* it had to wait for a thread before it could start, which has been told */
    bool reported;         /* the outcome has been told */
    atomic_bool shown;     /* for the receiver of the events: the report says how far it is */
    void *job_slot;        /* for the receiver of the events */
    unsigned subtasks;
    unsigned subtasks_failed;
    char attempt_text[JOB_ATTEMPT_SIZE];
    char span_id[ATTEMPT_SPAN_ID_SIZE]; /* empty without a trace */
};

/* Makes an attempt and the frame that owns it; takes `record` over where it succeeds. Errors: -ENOMEM. */
int attempt_new(struct runner *runner, struct job *record, const struct job_type *type,
                struct weft_context **ret_frame) WEFT_MUST_CHECK;

/* How many attempts the job has, and how long each may take: as its message says, or its type. */
unsigned attempt_limit(const struct weft_job *job);
int64_t attempt_timeout_ms(const struct weft_job *job);

/* When the time-out ends (CLOCK_MONOTONIC, us); 0 before the attempt has started. */
int64_t attempt_deadline_us(const struct weft_job *job);

/* Whether the code that calls this is the chain's: on its task, or, for a type that blocks, on its thread. */
bool attempt_runs_here(const struct weft_job *job);

/* Runs the handlers that are left; a negative errno is the one that failed. May wait. */
int attempt_run_chain(struct weft_job *job);

/* Runs what was deferred, the last first. May wait. */
void attempt_run_deferred(struct weft_job *job);

/* From now on the job's result, progress and verdict stay as they are. */
void attempt_close(struct weft_job *job);

/* A copy of how far the job is, to be freed, or NULL where it has not said, or there is no memory. */
char *attempt_copy_progress(struct weft_job *job);

/* Sets the reason of a failure, in the words of printf. */
void attempt_set_error(struct weft_job *job, const char *format, ...) WEFT_PRINTF(2, 3);

/* Attempts that exist: running, or kept by what they started. From any thread. */
long attempt_count_alive(const struct runner *runner);

/* The most bytes that these took up in the heap since the last call, roughly: of what their handlers have allocated
 * nothing is known. */
size_t attempt_take_peak_bytes(struct runner *runner);
