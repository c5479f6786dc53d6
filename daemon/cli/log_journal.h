/*
 * The lines of a job in systemd's journal, which finds them by its index.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "daemon/cli/log_match.h"

/* Whether weft was built with libsystemd. */
bool log_journal_is_supported(void);

/* Calls `visit` for each line that is wanted, in their order and of all but the last `last` of them none (0: all), as
 * one line of JSON without its line feed; with `follow`, then goes on with new ones until stdout has no reader any more
 * or there is a signal. `*ret_count` is how many there were, and `*ret_dropped` how many lines of weftd the journal has
 * dropped since the first of them, because there were too many. Errors: -EACCES: there are none, and the journal of the
 * system is not this user's to read; else a negative errno. */
int log_journal_read(const struct log_filter *filter, size_t last, bool follow,
                     void (*visit)(const char *line, size_t size, void *user), void *user, size_t *ret_count,
                     size_t *ret_dropped) MUST_CHECK;
