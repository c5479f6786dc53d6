/*
 * Wall-clock time, and its spelling in reports. Formatting is on the path of each job, so the date of the last second
 * is remembered.
 */
#pragma once

#include <stdint.h>

#define CLOCK_TEXT_SIZE 25 /* 2026-11-23T20:00:00.123Z and its NUL */

/* Unix time in milliseconds. */
int64_t clock_now_ms(void);

/* Time since some point in the past, in milliseconds; does not jump. */
int64_t clock_steady_ms(void);

struct clock_text {
    int64_t second; /* that `text` is about */
    char text[CLOCK_TEXT_SIZE];
};

/* Spells `unix_ms` as RFC 3339 in UTC with milliseconds. The text is `cache`'s, until the next call. A cache that is
 * all zero is empty and ready. Times before 1970 or after 9999 become the nearest bound. */
const char *clock_format(struct clock_text *cache, int64_t unix_ms);
