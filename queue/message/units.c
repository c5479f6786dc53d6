#include "queue/message/units.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "context/macros.h"
#include "context/time.h"

#define DURATION_MAX_MS (INT64_C(3650) * 24 * 60 * 60 * 1000)
#define SIZE_MAX_BYTES  (INT64_C(1) << 40)

struct unit {
    const char *name;
    int64_t scale;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}, {NULL, 0},
};

static const struct unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {NULL, 0},
};

/* The digits behind the point of a number. */
struct fraction {
    const char *digits;
    size_t count;
};

/* What is left to read. The take_ functions advance it, and give false where the text is not what they take. */
struct cursor {
    const char *at;
    const char *end;
};

/* Nothing may be NULL, to which not even 0 may be added. */
static struct cursor cursor_of(const char *text, size_t size)
{
    assert(text || size == 0);
    return (struct cursor){text, size > 0 ? text + size : text};
}

static bool is_digit(const struct cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool take_one_of(struct cursor *cursor, const char *characters, char *ret_character)
{
    if (cursor->at == cursor->end || *cursor->at == '\0' || !strchr(characters, *cursor->at))
        return false;
    *ret_character = *cursor->at++;
    return true;
}

static bool take_character(struct cursor *cursor, char character)
{
    if (cursor->at == cursor->end || *cursor->at != character)
        return false;
    cursor->at++;
    return true;
}

/* A whole number without leading zeros. One that does not fit becomes UINT64_MAX, which is beyond every bound: the rest
 * of the text still decides whether it is unreadable or only too large. */
static bool take_number(struct cursor *cursor, uint64_t *ret_value)
{
    const char *begin = cursor->at;
    uint64_t value = 0;
    for (; is_digit(cursor); cursor->at++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*cursor->at - '0'), &value))
            value = UINT64_MAX;
    if (cursor->at == begin || (*begin == '0' && cursor->at - begin > 1))
        return false;
    *ret_value = value;
    return true;
}

/* `.` and digits, or nothing. */
static bool take_fraction(struct cursor *cursor, struct fraction *ret_fraction)
{
    struct fraction fraction = {cursor->at, 0};
    if (take_character(cursor, '.')) {
        for (fraction.digits = cursor->at; is_digit(cursor); cursor->at++)
            fraction.count++;
        if (fraction.count == 0)
            return false;
    }
    *ret_fraction = fraction;
    return true;
}

/* Exactly `count` digits. */
static bool take_digits(struct cursor *cursor, int count, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!is_digit(cursor))
            return false;
        value = value * 10 + (*cursor->at++ - '0');
    }
    *ret_value = value;
    return true;
}

/* The unit that is all the rest of the text. */
static const struct unit *take_unit(struct cursor *cursor, const struct unit *units)
{
    size_t size = (size_t)(cursor->end - cursor->at);
    for (const struct unit *unit = units; unit->name; unit++)
        if (strlen(unit->name) == size && memcmp(unit->name, cursor->at, size) == 0)
            return unit;
    return NULL;
}

/* The fraction of a unit, rounded up: from the last digit on, each is a tenth of the one before it. */
static int64_t scale_fraction(struct fraction fraction, const struct unit *unit)
{
    int64_t scaled = 0;
    while (fraction.count-- > 0)
        scaled = ((fraction.digits[fraction.count] - '0') * unit->scale + scaled + 9) / 10;
    return scaled;
}

static int scale_quantity(uint64_t value, struct fraction fraction, const struct unit *unit, int64_t max,
                          int64_t *ret_scaled)
{
    int64_t scaled;
    if (__builtin_mul_overflow(value, unit->scale, &scaled) || scaled > max)
        return -ERANGE;
    scaled += scale_fraction(fraction, unit);
    if (scaled > max)
        return -ERANGE;
    *ret_scaled = scaled;
    return 0;
}

int units_parse_duration(const char *text, size_t size, int64_t *ret_ms)
{
    if (size == 1 && *text == '0') {
        *ret_ms = 0;
        return 0;
    }
    struct cursor cursor = cursor_of(text, size);
    uint64_t value;
    struct fraction fraction;
    if (!take_number(&cursor, &value) || !take_fraction(&cursor, &fraction))
        return -EINVAL;
    const struct unit *unit = take_unit(&cursor, durations);
    return unit ? scale_quantity(value, fraction, unit, DURATION_MAX_MS, ret_ms) : -EINVAL;
}

int units_parse_size(const char *text, size_t size, int64_t *ret_bytes)
{
    struct cursor cursor = cursor_of(text, size);
    uint64_t value;
    if (!take_number(&cursor, &value))
        return -EINVAL;
    const struct unit *unit = take_unit(&cursor, sizes);
    return unit ? scale_quantity(value, (struct fraction){0}, unit, SIZE_MAX_BYTES, ret_bytes) : -EINVAL;
}

int units_parse_integer(const char *text, size_t size, int64_t min, int64_t max, int64_t *ret_value)
{
    assert(min <= max);
    struct cursor cursor = cursor_of(text, size);
    uint64_t value;
    if (!take_number(&cursor, &value) || cursor.at != cursor.end)
        return -EINVAL;
    if (value > INT64_MAX || (int64_t)value < min || (int64_t)value > max)
        return -ERANGE;
    *ret_value = (int64_t)value;
    return 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct cursor *cursor, struct tm *tm)
{
    int year, month;
    if (!take_digits(cursor, 4, &year) || !take_character(cursor, '-') || !take_digits(cursor, 2, &month) ||
        !take_character(cursor, '-') || !take_digits(cursor, 2, &tm->tm_mday))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    return month >= 1 && month <= 12 && tm->tm_mday >= 1 && tm->tm_mday <= days_of_month(year, month);
}

static bool take_clock(struct cursor *cursor, struct tm *tm)
{
    return take_digits(cursor, 2, &tm->tm_hour) && take_character(cursor, ':') && take_digits(cursor, 2, &tm->tm_min) &&
           take_character(cursor, ':') && take_digits(cursor, 2, &tm->tm_sec) && tm->tm_hour <= 23 &&
           tm->tm_min <= 59 && tm->tm_sec <= 60;
}

/* `Z`, or how far the clock is ahead of UTC. */
static bool take_offset(struct cursor *cursor, int64_t *ret_seconds)
{
    char sign;
    int hours, minutes;
    if (!take_one_of(cursor, "Zz+-", &sign))
        return false;
    if (sign == 'Z' || sign == 'z') {
        *ret_seconds = 0;
        return true;
    }
    if (!take_digits(cursor, 2, &hours) || !take_character(cursor, ':') || !take_digits(cursor, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

static int check_time(int64_t seconds, struct fraction fraction, int64_t *ret_ms)
{
    if (seconds < 0 || seconds > TIME_UNIX_MAX_MS / 1000)
        return -ERANGE;
    int64_t ms = seconds * 1000;
    int64_t scale = 100;
    for (size_t i = 0; i < fraction.count; i++, scale /= 10)
        ms += (fraction.digits[i] - '0') * scale;
    *ret_ms = ms;
    return 0;
}

static int parse_calendar_time(struct cursor cursor, int64_t *ret_ms)
{
    struct tm tm = {0};
    struct fraction fraction;
    int64_t offset, seconds;
    char separator;
    bool leap_second;
    if (!take_date(&cursor, &tm) || !take_one_of(&cursor, "Tt", &separator) || !take_clock(&cursor, &tm) ||
        !take_fraction(&cursor, &fraction) || !take_offset(&cursor, &offset) || cursor.at != cursor.end)
        return -EINVAL;
    leap_second = tm.tm_sec == 60;
    seconds = timegm(&tm) - offset;
    /* Unix time has no leap seconds: one counts as the second after it, and only UTC's midnight ever had one. */
    if (leap_second && seconds % (24 * 60 * 60) != 0)
        return -EINVAL;
    return check_time(seconds, fraction, ret_ms);
}

int units_parse_time(const char *text, size_t size, int64_t *ret_ms)
{
    struct cursor cursor = cursor_of(text, size);
    if (size > 4 && text[4] == '-')
        return parse_calendar_time(cursor, ret_ms);
    uint64_t seconds;
    struct fraction fraction;
    if (!take_number(&cursor, &seconds) || !take_fraction(&cursor, &fraction) || cursor.at != cursor.end)
        return -EINVAL;
    return seconds > INT64_MAX ? -ERANGE : check_time((int64_t)seconds, fraction, ret_ms);
}
