/*
 * Which lines of a log are wanted: those about a job, which are its own and those of the jobs that it is the root of;
 * or all, from a time or a level on, or of one type.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <weft/log.h>

#include "context/macros.h"

struct log_filter {
    const char *id;        /* which is one; NULL: whatever it is about */
    const char *type;      /* the same; NULL: of all types, and about no job */
    enum weft_level level; /* the least */
    int64_t since_us;      /* Unix time */
};

/* Whether a line of JSON, without its line feed, is wanted, and its Unix time. Cheap where the ID is not in it. */
bool log_match_line(const char *line, size_t size, const struct log_filter *filter, int64_t *ret_time_us);

/* Reads a line that may be an object; NULL: it is not, or there is no memory. To be given to json_decref(). */
json_t *log_match_parse(const char *line, size_t size);

/* Reads a time as the log has it, 2026-11-23T20:00:00.000000Z. Errors: -EINVAL. */
int log_match_time(const char *text, size_t size, int64_t *ret_us) MUST_CHECK;
