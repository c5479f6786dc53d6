#include "context/log_line.h"

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
