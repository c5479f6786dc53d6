#include "context/log/log_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "context/time.h"
#include "context/utf8.h"

void log_line_append_time(struct log_line *line, int64_t time_us)
{
    static _Thread_local struct time_text text;

    log_line_append(line, time_format_us(&text, time_us), TIME_US_LENGTH);
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

/* Appends as much of the text as there may be; gives the number of bytes that were dealt with. */
static size_t append_escaped(struct log_line *line, const struct escape_target *target, const char *text, size_t size)
{
    size_t at = 0;
    while (!line->overflow) {
        size_t plain = escape_count_plain_for(target, text + at, size - at);
        size_t room = line->used < LOG_LINE_CEILING ? LOG_LINE_CEILING - line->used : 0;
        size_t shown = utf8_cut(text + at, plain, room);
        log_line_append(line, text + at, shown);
        at += shown;
        if (at == size || shown < plain || room - shown < ESCAPE_SIZE_MAX)
            break;

        char escape[ESCAPE_SIZE_MAX];
        size_t escape_size;
        at += escape_write(target, text + at, size - at, escape, &escape_size);
        log_line_append(line, escape, escape_size);
    }
    return at;
}

void log_line_append_value(struct log_line *line, const struct escape_target *target, const char *text, size_t size)
{
    size_t shown = utf8_cut(text, size, LOG_VALUE_MAX);
    if (append_escaped(line, target, text, shown) < size)
        log_line_append_words(line, LOG_CUT_MARK);
}
