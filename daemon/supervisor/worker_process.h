/*
 * A worker process as the supervisor sees it, from its fork until nothing of it is left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>

#include "context/macros.h"
#include "daemon/scoreboard/job_slot.h"
#include "daemon/scoreboard/log_buffer.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/scoreboard/tally.h"
#include "daemon/supervisor/generation.h"
#include "daemon/worker_options.h"
#include "queue/consumer_name.h"

enum worker_state {
    WORKER_WAITING,  /* to be started at `start_at_us` */
    WORKER_STARTING, /* until it says that it is ready */
    WORKER_READY,
    WORKER_RETIRING, /* it has been told to finish what runs and end */
    WORKER_ENDED,    /* the process is gone; what it left is being dealt with */
};
/*
 *   WAITING ──fork──► STARTING ──► READY ──┐
 *                        └─────────────────┴──retire──► RETIRING
 *   and from each state in which there is a process, once that is gone, to ENDED.
 */

/* Why the supervisor has ended it. */
enum worker_fault {
    WORKER_NO_FAULT,
    WORKER_STALLED,     /* its loop stood still */
    WORKER_FROZEN,      /* its process was stopped by somebody, and its loop stood still */
    WORKER_OVERDUE,     /* a job went on for long after its time-out */
    WORKER_TOO_LARGE,   /* a job was using up memory */
    WORKER_NEVER_READY, /* its plugins did not start */
    WORKER_LATE,        /* it did not end when it was told to */
};

/* The code of a job that has kept the loop's thread for as long as it has been looked at. */
struct child_run {
    uintptr_t job;   /* its identity; 0: nobody's code */
    uintptr_t turns; /* of the crash record: another number is another run */
    int64_t seen_us; /* for how long it has been seen to run */
};

/* What the supervisor sees of it from time to time. */
struct watchdog_state {
    enum worker_fault fault;
    uintptr_t culprit;  /* the identity of the job that is to blame for the fault; 0: nobody */
    int64_t aborted_us; /* when it was told to abort; 0: not yet */
    struct child_run run;
    bool was_large;        /* at the last look */
    int64_t waited_us;     /* when it was last seen to wait for a log output; 0: never */
    int64_t waited_for_us; /* for how long in all */
};

struct worker_process {
    TAILQ_ENTRY(worker_process) entry; /* in the worker pool */
    enum worker_state state;
    pid_t pid;
    size_t number; /* from 1; whoever takes its place gets the same */
    struct generation *generation;
    struct scoreboard_slot *slot;
    struct log_buffers *log_buffers;
    struct job_slot_table job_slots; /* in the slot */
    struct tally tally;              /* likewise */
    struct worker_process *replaces; /* is to retire once this one is ready; NULL: nobody */
    bool killed;                     /* with SIGKILL, by the supervisor */
    bool recycle;                    /* to be replaced, though of the present generation */
    struct watchdog_state watchdog;
    int64_t started_us;
    int64_t retired_us; /* when it was told to end; 0: not yet */
    int64_t start_at_us;
    int64_t backoff_us;  /* how long the next one waits if this one does not live long */
    unsigned redis_news; /* of its slot, as last seen */
    int status;          /* WORKER_ENDED: as waitpid() gives it */
    char consumer[CONSUMER_NAME_SIZE];
};

/* A worker that is to be started at `start_at_us` (CLOCK_MONOTONIC). Errors: -ENOMEM. */
int worker_process_new(struct generation *generation, size_t number, int64_t start_at_us,
                       struct worker_process **ret_worker) MUST_CHECK;

/* Not while the process runs. Takes NULL, gives NULL. */
struct worker_process *worker_process_free(struct worker_process *worker);

/* Forks the process, which then runs `run`; `base` is the supervisor's loop, which the child takes apart. It keeps the
 * log's descriptors and closes the rest. Errors: -EAGAIN, -ENOMEM as fork(2). */
int worker_process_start(struct worker_process *worker, struct event_base *base, worker_run_fn *run) MUST_CHECK;

/* Whether there is a process. */
bool worker_process_runs(const struct worker_process *worker);

/* The only place where the state changes. */
void worker_process_set_state(struct worker_process *worker, enum worker_state state);

/* Tells it to finish what runs and end. */
void worker_process_retire(struct worker_process *worker);

/* When the next worker in its place is to start: at once after a long life, later and later after short ones, which
 * `*backoff_us` remembers. */
int64_t worker_process_next_start_us(const struct worker_process *worker, int64_t *backoff_us);
