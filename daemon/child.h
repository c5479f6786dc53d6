/*
 * A worker process as the supervisor sees it, from its fork until nothing of it is left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>

#include "daemon/generation.h"
#include "daemon/scoreboard.h"
#include "queue/consumer.h"

enum child_state {
    CHILD_WAITING,  /* to be started at `start_at_us` */
    CHILD_STARTING, /* until it says that it is ready */
    CHILD_READY,
    CHILD_RETIRING, /* it has been told to finish what runs and end */
    CHILD_ENDED,    /* the process is gone; what it left is being dealt with */
};

struct child {
    struct child *next; /* in the crew */
    enum child_state state;
    pid_t pid;
    size_t number; /* from 1; whoever takes its place gets the same */
    struct generation *generation;
    struct scoreboard_slot *slot;
    struct child *replaces; /* is to retire once this one is ready; NULL: nobody */
    bool killed;            /* by the supervisor */
    bool worn;              /* to be replaced, though of the present generation */
    int64_t started_us;
    int64_t retired_us; /* when it was told to end; 0: not yet */
    int64_t start_at_us;
    int64_t backoff_us;  /* how long the next one waits if this one does not live long */
    unsigned redis_news; /* of its slot, as last seen */
    int status;          /* CHILD_ENDED: as waitpid() gives it */
    char consumer[CONSUMER_NAME_SIZE];
};

/* A worker that is to be started at `start_at_us` (CLOCK_MONOTONIC). Errors: -ENOMEM. */
int child_new(struct generation *generation, size_t number, int64_t start_at_us, struct child **ret_child)
    __attribute__((warn_unused_result));

/* Not while the process runs. Takes NULL, gives NULL. */
struct child *child_free(struct child *child);

/* Forks the process; `base` is the supervisor's loop, which the child takes apart. It keeps the log's descriptors and
 * closes the rest. Errors: -EAGAIN, -ENOMEM as fork(2). */
int child_start(struct child *child, struct event_base *base) __attribute__((warn_unused_result));

/* Whether there is a process. */
bool child_runs(const struct child *child);

/* Tells it to finish what runs and end. */
void child_retire(struct child *child);

/* When the next worker in its place is to start: at once after a long life, later and later after short ones, which
 * `*backoff_us` remembers. */
int64_t child_next_start_us(const struct child *child, int64_t *backoff_us);
