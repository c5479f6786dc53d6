#include "context/time.h"

#include <string.h>

#define SECONDS_OF_DAY 86400

/* Where the digits behind the second's point begin. */
#define FRACTION_AT (sizeof("2026-11-23T20:00:00.") - 1)

/* Writes `value` with leading zeros. */
static void write_digits(char *at, unsigned count, uint32_t value)
{
    while (count-- > 0) {
        at[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Writes the Gregorian date of a day counted from 1970-01-01, by reckoning in years that begin in March, so that the
 * leap day is the last one. gmtime_r() takes a lock that a fork may leave held. */
static void write_date(char *at, uint32_t days_since_1970)
{
    uint32_t days = days_since_1970 + 719468; /* from 0000-03-01 */
    uint32_t era = days / 146097;             /* of 400 years */
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    write_digits(at, 4, era * 400 + year_of_era + (month <= 2));
    write_digits(at + 5, 2, month);
    write_digits(at + 8, 2, day_of_year - (153 * month_from_march + 2) / 5 + 1);
}

/* Writes everything up to the point, unless it is there already. */
static void write_second(struct time_text *text, int64_t second)
{
    uint32_t of_day = (uint32_t)(second % SECONDS_OF_DAY);

    if (text->second == second && text->text[0] != '\0')
        return;
    memcpy(text->text, "0000-00-00T00:00:00.", FRACTION_AT);
    write_date(text->text, (uint32_t)(second / SECONDS_OF_DAY));
    write_digits(text->text + 11, 2, of_day / 3600);
    write_digits(text->text + 14, 2, of_day / 60 % 60);
    write_digits(text->text + 17, 2, of_day % 60);
    text->second = second;
}

const char *time_format_ms(struct time_text *text, int64_t unix_ms)
{
    int64_t time = unix_ms < 0 ? 0 : unix_ms > TIME_UNIX_MAX_MS ? TIME_UNIX_MAX_MS : unix_ms;

    write_second(text, time / 1000);
    write_digits(text->text + FRACTION_AT, 3, (uint32_t)(time % 1000));
    memcpy(text->text + FRACTION_AT + 3, "Z", 2);
    return text->text;
}

const char *time_format_us(struct time_text *text, int64_t unix_us)
{
    int64_t time = unix_us < 0 ? 0 : unix_us > TIME_UNIX_MAX_US ? TIME_UNIX_MAX_US : unix_us;

    write_second(text, time / 1000000);
    write_digits(text->text + FRACTION_AT, 6, (uint32_t)(time % 1000000));
    memcpy(text->text + FRACTION_AT + 6, "Z", 2);
    return text->text;
}
