/*
 * A log line on its way into a caller's buffer: what the formats of log.h have in common.
 *
 * A line never gets longer than LOG_LINE_MAX: a value that would push it there is cut and says so, and so is any value
 * of more than LOG_VALUE_MAX bytes. A buffer smaller than that may turn out too small, which is noticed at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "context/escape.h"
#include "context/log/log.h"

/* The most bytes of one value, before escaping, that a line shows. */
#define LOG_VALUE_MAX (32 * 1024)

/* What stands at the end of a value that was cut. */
#define LOG_CUT_MARK "... [cut]"

/* Values end here at the latest, so that what closes the line always fits. */
#define LOG_LINE_CEILING (LOG_LINE_MAX - 1024)

struct log_line {
    char *buffer;
    size_t size;
    size_t used;
    bool overflow; /* something did not fit in `size` */
};

static inline void log_line_init(struct log_line *line, char *buffer, size_t size)
{
    *line = (struct log_line){.buffer = buffer, .size = size};
}

/* Appends `size` bytes as they are: for the format's own words. */
static inline void log_line_append(struct log_line *line, const char *bytes, size_t size)
{
    if (size > line->size - line->used) {
        line->overflow = true;
        return;
    }
    memcpy(line->buffer + line->used, bytes, size);
    line->used += size;
}

/* Inline, so that the length of a literal is known when compiling. */
static inline void log_line_append_words(struct log_line *line, const char *words)
{
    log_line_append(line, words, strlen(words));
}

/* Appends a point in time as RFC 3339, UTC, with microseconds; times outside the years 1970 to 9999 become the nearest
 * that is inside. */
void log_line_append_time(struct log_line *line, int64_t time_us);

void log_line_append_integer(struct log_line *line, int64_t value);

/* Appends a finite number with as many digits as it takes to read the same number back, whatever the locale. */
void log_line_append_real(struct log_line *line, double value);

/* Appends a value, escaped, and cut where it is too long. */
void log_line_append_value(struct log_line *line, const struct escape_target *target, const char *text, size_t size);

/* Whether log_line_append_value() may cut a text of so many bytes, none of which needs escaping. */
static inline bool log_line_cuts(const struct log_line *line, size_t size)
{
    return size > LOG_VALUE_MAX || line->used + size > LOG_LINE_CEILING;
}

/* Whether no further pair of key and value should be begun. */
static inline bool log_line_is_crowded(const struct log_line *line)
{
    return line->used + 64 > LOG_LINE_CEILING;
}

/* Ends the line and gives its length; 0 if it did not fit. */
static inline size_t log_line_finish(struct log_line *line)
{
    log_line_append_words(line, "\n");
    return line->overflow ? 0 : line->used;
}
