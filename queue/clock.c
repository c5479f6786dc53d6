#include "queue/clock.h"

#include <stddef.h>
#include <time.h>

#define LAST_MS INT64_C(253402300799999) /* the end of the year 9999 */

static int64_t read_clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    return read_clock_ms(CLOCK_REALTIME);
}

int64_t clock_steady_ms(void)
{
    return read_clock_ms(CLOCK_MONOTONIC);
}

const char *clock_format(struct clock_text *cache, int64_t unix_ms)
{
    int64_t ms = unix_ms < 0 ? 0 : unix_ms > LAST_MS ? LAST_MS : unix_ms;
    int64_t second = ms / 1000;
    unsigned fraction = (unsigned)(ms % 1000);
    char *digits;

    if (cache->text[0] == '\0' || cache->second != second) {
        time_t time = (time_t)second;
        struct tm parts;

        gmtime_r(&time, &parts);
        strftime(cache->text, sizeof(cache->text), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
        cache->second = second;
    }
    digits = cache->text + sizeof("2026-11-23T20:00:00.") - 1;
    digits[0] = (char)('0' + fraction / 100);
    digits[1] = (char)('0' + fraction / 10 % 10);
    digits[2] = (char)('0' + fraction % 10);
    return cache->text;
}
