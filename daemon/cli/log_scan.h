/*
 * Reads a log file in large pieces for the lines that are wanted. Holds no more than a piece, however large the
 * file is.
 */
#pragma once

#include <sys/types.h>

#include "context/macros.h"
#include "daemon/cli/log_match.h"

struct log_scan {
    int fd;
    const struct log_filter *filter;
    off_t offset; /* in the file: of what is in `buffer` */
    char *buffer;
    size_t used;
    bool skipping; /* in a line that is longer than any that weft writes */
};

/* A line; borrowed. */
struct log_found {
    const char *line;
    size_t size; /* without the line feed */
    off_t offset;
    int64_t time_us; /* Unix time */
};

/* Prepares to read `fd`, which stays the caller's, from its beginning. `filter` is borrowed. Errors: -ENOMEM.
 */
int log_scan_init(struct log_scan *scan, int fd, const struct log_filter *filter) MUST_CHECK;
void log_scan_done(struct log_scan *scan);

/* Begins again at the beginning of `fd`. */
void log_scan_rewind(struct log_scan *scan, int fd);

/* Calls `visit` for each line that is wanted and has been completed since the last time, until it gives an error.
 * Errors: that one, and those of read(). */
int log_scan_read(struct log_scan *scan, int (*visit)(const struct log_found *found, void *user),
                  void *user) MUST_CHECK;
