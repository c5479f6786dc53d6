/*
 * Follows a log file that others write to, rotate and truncate.
 */
#pragma once

#include "context/macros.h"
#include "daemon/cli/log_scan.h"

/* How often there is a look for new lines. */
enum { LOG_FOLLOW_PERIOD_MS = 100 };

/* Waits for so long; gives false when there is nobody left to print for. */
bool log_follow_wait(int time_ms);

/* Goes on reading where `scan` is, calling `visit` for each new line about the job, until stdout has no reader any more
 * or there is a signal. When another file gets the name `path`, that one is read from its beginning; when the file gets
 * shorter, it is. Closes what it opens, and does not close what it was given. Gives 0, or the error of read() or of
 * `visit`. */
int log_follow(struct log_scan *scan, const char *path, int (*visit)(const struct log_found *found, void *user),
               void *user) MUST_CHECK;
