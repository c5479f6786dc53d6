/*
 * The message of a line for those who see nothing else of it, as in the output of `systemctl status`.
 */
#pragma once

#include <stddef.h>

#include "context/log/log.h"

/* No summary is longer. */
enum { LOG_SUMMARY_MAX = 2048 };

/* Makes one sentence of a line that has an error: what happened, to which job, after how many attempts, and why. Gives
 * its size; 0: the message says all that there is. */
size_t log_summarize(const struct log_record *record, char summary[static LOG_SUMMARY_MAX]);
