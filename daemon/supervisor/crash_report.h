/*
 * The crash report: what is to be said and done about a worker that has ended otherwise than it should. The job that
 * brought it down is charged with the attempt and named; the others run again uncharged, and their logs say why.
 */
#pragma once

#include "daemon/supervisor/worker_process.h"

/* Writes the lines, each in its job's context, settles the culprit, and has the rest given back. `killed_by_kernel`:
 * its SIGKILL came because memory had run out. Gives whether the culprit is a dead letter now. */
bool crash_report_write(const struct worker_process *worker, bool killed_by_kernel);
