/*
 * Dispatch: where queue/ and handlers/ meet. Jobs that were fetched are run, what becomes of them is settled, and the
 * scoreboard is kept up to date.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/macros.h"
#include "daemon/job_types.h"
#include "daemon/scoreboard/job_slot.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/scoreboard/tally.h"
#include "daemon/worker/sent_back.h"
#include "daemon/worker/waiting.h"
#include "handlers/runner.h"
#include "queue/consumer/client.h"

/* How many jobs of a type may run at a time, and how it stands with that. */
struct type_limit {
    unsigned concurrency; /* 0: any number */
    unsigned running;
    unsigned waiting;
    int64_t average_us;  /* how long a job runs, lately */
    int64_t progress_us; /* since when none has ended, or begun while none ran (CLOCK_MONOTONIC) */
    int64_t due_us;      /* when the last one that was sent back is to come again (Unix time); 0: none was */
    struct sent_back sent_back;
    unsigned recalled;   /* jobs that were sent back and are to come at once */
    int64_t recalled_us; /* when the last ones were asked for (CLOCK_MONOTONIC) */
};

struct dispatch {
    struct scoreboard_slot *slot;
    struct job_slot_table *job_slots;
    const struct tally *tally;
    const struct job_types *types;
    const char *node; /* the name of this weftd */
    struct queue_client *client;
    struct runner runner;
    unsigned concurrency; /* jobs that may run at a time */
    unsigned running;
    struct type_limit *limits; /* by the types' numbers */
    size_t limit_count;
    struct waiting waiting;
    struct event *turn;          /* jobs that wait may go on */
    bool drained;                /* the queues have nothing more of ours */
    void (*settled)(void *user); /* `drained` has become true */
    void *user;
};

/* The owner has filled in `slot`, `job_slots`, `tally`, `types`, `settled` and `user`. Connects, and fetches from then
 * on; `dispatch` must stay where it is. Errors: -ENOMEM, -EINVAL. */
int dispatch_start(struct dispatch *dispatch, struct event_base *base, struct weft_loop *loop,
                   const struct config *config, const char *consumer) MUST_CHECK;

/* Takes no more jobs; `settled` follows. */
void dispatch_stop(struct dispatch *dispatch);

/* Interrupts what runs. */
void dispatch_interrupt(struct dispatch *dispatch);

/* Tasks that are alive and not given up with a call that does not return. */
long dispatch_count_tasks(const struct dispatch *dispatch);

/* Whether everything is over and written to Redis, but for what was given up. */
bool dispatch_is_over(const struct dispatch *dispatch);

/* A few times a second: jobs that have been running for a while are shown in their reports, with the progress that they
 * made, and jobs that would wait here for long are sent back. */
void dispatch_tend(struct dispatch *dispatch);

void dispatch_done(struct dispatch *dispatch);
