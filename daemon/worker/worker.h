/*
 * A worker process: one loop that fetches jobs, runs them and settles them.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/log/log_output.h"
#include "daemon/scoreboard/job_slot.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/scoreboard/tally.h"

struct worker_options {
    const struct config *config;
    struct log_output *output;
    struct scoreboard_slot *slot;
    struct job_slot_table *job_slots;
    const struct tally *tally;
    const char *consumer; /* the name it reads the queues under */
};

/* Runs until SIGTERM (finish what runs) or SIGQUIT (interrupt it) has been obeyed; gives the exit status of the
 * process. To be called in a child that was just forked. */
int worker_run(const struct worker_options *options);
