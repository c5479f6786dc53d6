/*
 * Worker processes as the supervisor sees them: forked, watched, started again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>

#include "daemon/config/config.h"
#include "daemon/log_output.h"
#include "daemon/scoreboard.h"

#define CHILD_CONSUMER_SIZE 128

struct child {
    pid_t pid; /* 0: not running */
    size_t slot;
    int64_t started_us;
    int64_t start_at_us; /* when it is to be started again; 0: not at all */
    int64_t backoff_us;
    char consumer[CHILD_CONSUMER_SIZE]; /* of the process that runs or ran last */
};

/* What every child needs. Borrowed. */
struct child_setting {
    struct event_base *base; /* the supervisor's, which the child takes apart */
    const struct config *config;
    struct log_output *output;
    struct scoreboard *scoreboard;
};

/* Forks the process. It keeps the log's descriptors and closes the rest. Errors: -EAGAIN, -ENOMEM as fork(2). */
int child_start(struct child *child, const struct child_setting *setting) __attribute__((warn_unused_result));

/* Notes that the process is gone, writes the lines it left, and says so in the log unless it was `expected`. Plans the
 * next start: at once after a long life, later and later after short ones. */
void child_ended(struct child *child, const struct child_setting *setting, int status, bool expected);
