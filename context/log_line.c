#include "context/log_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "context/utf8.h"

/* ---- Time ---- */

#define TIME_US_MAX    INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */
#define SECONDS_OF_DAY 86400

/* Writes `value` with leading zeros. */
static void write_digits(char *at, unsigned count, uint32_t value)
{
    while (count-- > 0) {
        at[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

struct date {
    uint32_t year;
    uint32_t month;
    uint32_t day;
};

/* The Gregorian date of a day counted from 1970-01-01, by reckoning in years that begin in March, so that the leap day
 * is the last one. gmtime_r() takes a lock that a fork may leave held. */
static struct date date_of_day(uint32_t days_since_1970)
{
    uint32_t days = days_since_1970 + 719468; /* from 0000-03-01 */
    uint32_t era = days / 146097;             /* of 400 years */
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month_from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct date){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

struct second {
    int64_t number;
    char text[20];
};

static void second_format(struct second *second, int64_t number)
{
    struct date date = date_of_day((uint32_t)(number / SECONDS_OF_DAY));
    uint32_t of_day = (uint32_t)(number % SECONDS_OF_DAY);

    memcpy(second->text, "0000-00-00T00:00:00.", sizeof(second->text));
    write_digits(second->text, 4, date.year);
    write_digits(second->text + 5, 2, date.month);
    write_digits(second->text + 8, 2, date.day);
    write_digits(second->text + 11, 2, of_day / 3600);
    write_digits(second->text + 14, 2, of_day / 60 % 60);
    write_digits(second->text + 17, 2, of_day % 60);
    second->number = number;
}

void log_line_append_time(struct log_line *line, int64_t time_us)
{
    /* Lines come many to a second, so the last second of each thread is kept. */
    static _Thread_local struct second second = {.number = -1};

    int64_t time = time_us < 0 ? 0 : time_us > TIME_US_MAX ? TIME_US_MAX : time_us;
    if (second.number != time / 1000000)
        second_format(&second, time / 1000000);

    char text[sizeof(second.text) + 7];
    memcpy(text, second.text, sizeof(second.text));
    write_digits(text + sizeof(second.text), 6, (uint32_t)(time % 1000000));
    text[sizeof(text) - 1] = 'Z';
    log_line_append(line, text, sizeof(text));
}

/* ---- Numbers ---- */

void log_line_append_integer(struct log_line *line, int64_t value)
{
    char text[20];
    char *at = text + sizeof(text);
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (value < 0)
        *--at = '-';
    log_line_append(line, at, (size_t)(text + sizeof(text) - at));
}

void log_line_append_real(struct log_line *line, double value)
{
    char text[64];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }

    /* Whatever stands between the digits is the locale's decimal point. */
    size_t before = strspn(text, "+-0123456789e");
    size_t point = strcspn(text + before, "0123456789");
    log_line_append(line, text, before);
    if (point > 0)
        log_line_append_words(line, ".");
    log_line_append_words(line, text + before + point);
}

/* ---- Values ---- */

/* What a byte has to be looked at for. Every byte beyond ASCII has, since only the whole character can tell. */
static const uint8_t byte_classes[256] = {
    [0 ... 31] = LOG_ESCAPE_HARMFUL, [127 ... 255] = LOG_ESCAPE_HARMFUL, ['"'] = LOG_ESCAPE_QUOTES,
    ['\\'] = LOG_ESCAPE_QUOTES,      [' '] = LOG_ESCAPE_SEPARATORS,      ['='] = LOG_ESCAPE_SEPARATORS,
};

/* Whether a valid character beyond ASCII is more than text: a control character, a line feed by another name, or one
 * that reverses the order in which the rest of the line is shown. */
static bool character_is_harmful(uint32_t character)
{
    return character < 0xA0 || (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

/* Gives the number of bytes that can be shown as they are. */
static size_t count_plain(const char *text, size_t size, unsigned what)
{
    size_t at = 0;
    for (;;) {
        while (at < size && !(byte_classes[(uint8_t)text[at]] & what))
            at++;
        if (at == size || (uint8_t)text[at] < 0x80)
            return at;

        uint32_t character;
        size_t length = utf8_decode(text + at, size - at, &character);
        if (character == UTF8_INVALID || character_is_harmful(character))
            return at;
        at += length;
    }
}

bool log_text_is_plain(const char *text, size_t size, unsigned what)
{
    return count_plain(text, size, what) == size;
}

/* Appends as much of the text as there may be; gives the number of bytes that were dealt with. */
static size_t append_escaped(struct log_line *line, const struct log_escapes *escapes, const char *text, size_t size)
{
    size_t at = 0;
    while (!line->overflow) {
        size_t plain = count_plain(text + at, size - at, escapes->what);
        size_t room = line->used < LOG_LINE_CEILING ? LOG_LINE_CEILING - line->used : 0;
        size_t shown = utf8_cut(text + at, plain, room);
        log_line_append(line, text + at, shown);
        at += shown;
        if (at == size || shown < plain || room - shown < 16)
            break;

        uint32_t character;
        size_t length = utf8_decode(text + at, size - at, &character);
        escapes->write(line, character, text + at, length);
        at += length;
    }
    return at;
}

void log_line_append_value(struct log_line *line, const struct log_escapes *escapes, const char *text, size_t size)
{
    size_t shown = utf8_cut(text, size, LOG_VALUE_MAX);
    if (append_escaped(line, escapes, text, shown) < size)
        log_line_append_words(line, LOG_CUT_MARK);
}
