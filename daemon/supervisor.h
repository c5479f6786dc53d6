/*
 * The supervisor: forks the workers, watches them and starts them again; promotes due jobs; never runs the code of
 * handlers.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/log_output.h"
#include "daemon/scoreboard.h"

/* Runs a node until SIGTERM or SIGINT has been obeyed; gives the exit status. */
int supervisor_run(const struct config *config, struct scoreboard *scoreboard, struct log_output *output);
