/*
 * Quantities as people write them: durations, sizes, points in time and whole numbers. All of it is untrusted input:
 * each function takes exactly `size` bytes (which may contain anything), accepts the whole or nothing, and writes its
 * result only on success. Errors: -EINVAL unreadable, -ERANGE readable but beyond the bounds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"

/* `250ms`, `30s`, `5m`, `1h`, `7d`; a decimal number before the unit is fine (`1.5s`), a missing unit is not, except
 * for `0`. Rounded up to whole milliseconds, so that only zero is zero. At most ten years (3650 days). */
int units_parse_duration(const char *text, size_t size, int64_t *ret_ms) MUST_CHECK;

/* `4096`, `64KiB`, `1MiB`, `2GiB` (and `B`). At most 1 TiB. */
int units_parse_size(const char *text, size_t size, int64_t *ret_bytes) MUST_CHECK;

/* RFC 3339 (`2026-11-23T20:00:00Z`, `...+01:00`, with or without a fraction) or Unix seconds (`1763922000`, with or
 * without a fraction). From 1970 to the year 9999. Gives Unix milliseconds; what is finer is cut off. A leap second
 * counts as the second that follows it. */
int units_parse_time(const char *text, size_t size, int64_t *ret_ms) MUST_CHECK;

/* A whole decimal number between `min` and `max`, without sign, blanks or leading zeros. */
int units_parse_integer(const char *text, size_t size, int64_t min, int64_t max, int64_t *ret_value) MUST_CHECK;
