/*
 * What a worker is started with: the supervisor makes it, and the worker's code, which the supervisor does not know,
 * is given it in the process that was forked.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/log/log_output.h"
#include "daemon/scoreboard/job_slot.h"
#include "daemon/scoreboard/log_buffer.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/scoreboard/tally.h"

struct worker_options {
    const struct config *config;
    struct log_output *output;
    struct scoreboard_slot *slot;
    struct log_buffers *log_buffers;
    struct job_slot_table *job_slots;
    const struct tally *tally;
    const char *consumer; /* the name it reads the queues under */
};

/* The code of a worker: worker_run(), in all but tests. Gives the exit status of its process. */
typedef int worker_run_fn(const struct worker_options *options);
