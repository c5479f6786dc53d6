/*
 * A worker process: one loop that fetches jobs, runs them and settles them.
 */
#pragma once

#include "daemon/worker_options.h"

/* Runs until SIGTERM (finish what runs) or SIGQUIT (interrupt it) has been obeyed; gives the exit status of the
 * process. To be called in a child that was just forked. */
int worker_run(const struct worker_options *options);
