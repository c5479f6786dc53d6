/*
 * The supervisor: runs the pool of workers, promotes due jobs, gives back what dead workers held; never runs the code
 * of handlers.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/log/log_output.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/worker_options.h"

/* Runs a node until SIGTERM or SIGINT has been obeyed; gives the exit status. `slot` is the supervisor's own; `config`
 * and `output`, which is installed, are taken over. `run_worker` is what workers run. */
int supervisor_run(struct config *config, struct scoreboard_slot *slot, struct log_output *output,
                   worker_run_fn *run_worker);
