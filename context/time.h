/*
 * Clocks, and how times are written. All code of weft reads its clocks here. Steady time does not jump and counts from
 * some point in the past; Unix time is the time of day.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* The end of the year 9999, the latest time that can be written. */
#define TIME_UNIX_MAX_MS INT64_C(253402300799999)
#define TIME_UNIX_MAX_US (TIME_UNIX_MAX_MS * 1000 + 999)

static inline int64_t time_read_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* CLOCK_MONOTONIC. */
static inline int64_t time_steady_us(void)
{
    return time_read_us(CLOCK_MONOTONIC);
}

static inline int64_t time_steady_ms(void)
{
    return time_steady_us() / 1000;
}

/* CLOCK_MONOTONIC as it was at the kernel's last tick, a few milliseconds ago: costs next to nothing. */
static inline int64_t time_coarse_us(void)
{
    return time_read_us(CLOCK_MONOTONIC_COARSE);
}

static inline int64_t time_unix_us(void)
{
    return time_read_us(CLOCK_REALTIME);
}

static inline int64_t time_unix_ms(void)
{
    return time_unix_us() / 1000;
}

/* The lengths of what time_format_ms() and time_format_us() write, without the NUL. */
#define TIME_MS_LENGTH (sizeof("2026-11-23T20:00:00.123Z") - 1)
#define TIME_US_LENGTH (sizeof("2026-11-23T20:00:00.123456Z") - 1)

/* Room for a time as text. It remembers the last second that it was used for, since many times fall into the same one.
 * All zero, it is empty and ready. */
struct time_text {
    int64_t second; /* that `text` is about */
    char text[TIME_US_LENGTH + 1];
};

/* Writes Unix time as RFC 3339 in UTC, with milliseconds or microseconds. The text belongs to `text`, until the next
 * call. Times before 1970 or after 9999 become the nearest bound. Takes no lock, so that a process may call it after
 * any fork. */
const char *time_format_ms(struct time_text *text, int64_t unix_ms);
const char *time_format_us(struct time_text *text, int64_t unix_us);
