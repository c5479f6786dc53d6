/*
 * Durations, sizes, numbers and times read once more: slowly and exactly, or by the C library. That reads more than it
 * should, so what it has read is written again, and has to look the same.
 */
#pragma once

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNTOUCHED INT64_C(-42)
#define DAY       (INT64_C(24) * 60 * 60)
#define TEN_YEARS (3650 * DAY * 1000)
#define LARGE     ((__int128)1 << 80) /* beyond every bound */

/* What a parser gives: an error, or 0 and a value. */
struct result {
    int error;
    int64_t value;
};

struct reference_unit {
    const char *name;
    int64_t scale;
};

static inline struct result reference_fail(int error)
{
    return (struct result){error, UNTOUCHED};
}

static inline struct result reference_bound(__int128 value, int64_t min, int64_t max)
{
    return value < min || value > max ? reference_fail(-ERANGE) : (struct result){0, (int64_t)value};
}

/* ---- Quantities ---- */

/* Digits without leading zeros; gives what follows, or NULL. */
static inline const char *reference_read_digits(const char *text, __int128 *ret_value)
{
    size_t size = strspn(text, "0123456789");
    __int128 value = 0;

    if (size == 0 || (size > 1 && text[0] == '0'))
        return NULL;
    for (size_t i = 0; i < size; i++)
        value = value > LARGE ? value : value * 10 + (text[i] - '0');
    *ret_value = value;
    return text + size;
}

/* The digits behind a point, and what follows them; NULL: there are none behind it. */
static inline const char *reference_read_fraction(const char *text, const char **ret_digits, size_t *ret_size)
{
    *ret_digits = text + 1;
    *ret_size = *text == '.' ? strspn(text + 1, "0123456789") : 0;
    if (*text != '.')
        return text;
    return *ret_size > 0 ? text + 1 + *ret_size : NULL;
}

/* NUMBER[.DIGITS]UNIT, rounded up: the digits from the last to the first, each a tenth of the one before it. */
static inline struct result reference_quantity(const char *text, const struct reference_unit *unit, bool fractions,
                                               int64_t max)
{
    __int128 value, part = 0;
    const char *digits = "";
    size_t size = 0;
    const char *rest = reference_read_digits(text, &value);

    if (rest && fractions)
        rest = reference_read_fraction(rest, &digits, &size);
    while (rest && unit->name && strcmp(unit->name, rest) != 0)
        unit++;
    if (!rest || !unit->name)
        return reference_fail(-EINVAL);
    while (size-- > 0)
        part = ((digits[size] - '0') * unit->scale + part + 9) / 10;
    return reference_bound(value * unit->scale + part, 0, max);
}

static inline struct result reference_duration(const char *text)
{
    static const struct reference_unit units[] = {{"ms", 1},          {"s", 1000},       {"m", 60 * 1000},
                                                  {"h", 3600 * 1000}, {"d", DAY * 1000}, {NULL, 0}};

    return strcmp(text, "0") == 0 ? (struct result){0, 0} : reference_quantity(text, units, true, TEN_YEARS);
}

static inline struct result reference_size(const char *text)
{
    static const struct reference_unit units[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                                                  {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

    return reference_quantity(text, units, false, INT64_C(1) << 40);
}

static inline struct result reference_integer(const char *text, int64_t min, int64_t max)
{
    __int128 value;
    const char *rest = reference_read_digits(text, &value);

    return rest && !*rest ? reference_bound(value, min, max) : reference_fail(-EINVAL);
}

/* ---- Times ---- */

/* The second of a date that exists, or false. */
static inline bool reference_second(const struct tm *date, int64_t offset, int64_t *ret_second)
{
    struct tm tm = *date;
    bool leap = tm.tm_sec == 60;
    int64_t second;

    tm.tm_sec -= leap;
    second = timegm(&tm) + leap - offset;
    if (tm.tm_mday != date->tm_mday || tm.tm_mon != date->tm_mon || date->tm_sec > 60 || (leap && second % DAY != 0))
        return false;
    *ret_second = second;
    return true;
}

static inline bool reference_read_date(const char *text, struct tm *ret_tm)
{
    char date[20] = "", again[64];
    struct tm tm = {0};

    if (strlen(text) < 19)
        return false;
    memcpy(date, text, 19);
    date[10] = date[10] == 't' ? 'T' : date[10];
    if (!strptime(date, "%Y-%m-%dT%H:%M:%S", &tm))
        return false;
    snprintf(again, sizeof(again), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    *ret_tm = tm;
    return strcmp(again, date) == 0;
}

/* Z, or how far ahead of UTC, at the end of the text. */
static inline bool reference_read_offset(const char *text, int64_t *ret_offset)
{
    char sign, again[32];
    int hours, minutes;

    *ret_offset = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || !strchr("+-", sign))
        return false;
    snprintf(again, sizeof(again), "%c%02d:%02d", sign, hours, minutes);
    *ret_offset = (sign == '-' ? -60 : 60) * (hours * 60 + minutes);
    return strcmp(again, text) == 0 && hours >= 0 && hours <= 23 && minutes >= 0 && minutes <= 59;
}

static inline struct result reference_time(const char *text)
{
    const char *digits, *rest;
    char thousandths[4] = "000";
    size_t size;
    __int128 number;
    int64_t second, offset = 0;
    struct tm tm;
    bool is_date = reference_read_date(text, &tm);

    rest = is_date ? text + 19 : reference_read_digits(text, &number);
    if (rest)
        rest = reference_read_fraction(rest, &digits, &size);
    if (!rest || (is_date && !reference_read_offset(rest, &offset)) || (!is_date && *rest))
        return reference_fail(-EINVAL);
    if (is_date && !reference_second(&tm, offset, &second))
        return reference_fail(-EINVAL);
    memcpy(thousandths, digits, size < 3 ? size : 3);
    return reference_bound((is_date ? second : number) * 1000 + atoi(thousandths), 0, INT64_C(253402300799999));
}
