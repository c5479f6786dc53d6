/*
 * A log file and those that it has been in before its rotations.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"

struct log_rotated {
    char *path;
    int64_t written_us; /* at last; Unix time */
};

/* All zero at first. */
struct log_files {
    int *fds; /* of those that are open, the newest first */
    size_t count;
    struct log_rotated *rotated; /* those that have been found, the newest first */
    size_t rotated_count;
    size_t next; /* of these, to be opened */
};

/* Opens the file `path`. Errors: -ENOMEM, and those of open(2). */
int log_files_open(struct log_files *files, const char *path) MUST_CHECK;

/* Finds those that the open file `path` was rotated to: PATH.1, PATH-20260101, and packed PATH.2.gz. Errors: -ENOMEM,
 * and those of opendir(3). */
int log_files_find_rotated(struct log_files *files, const char *path) MUST_CHECK;

/* Opens, unpacked, the newest of them that has not been opened yet, if it was written to since then (Unix time). Gives
 * false when there is none. One that cannot be read is told of, and left out. */
bool log_files_open_rotated(struct log_files *files, int64_t since_us) MUST_CHECK;

void log_files_close(struct log_files *files);
