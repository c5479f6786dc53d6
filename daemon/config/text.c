#include "daemon/config/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "context/utf8.h"

#define QUOTED_SIZE_MAX 100

void config_text_add(struct config_text *text, const char *format, ...)
{
    size_t room = sizeof(text->text) - text->size;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text->text + text->size, room, format, args);
    va_end(args);
    if (size > 0)
        text->size += (size_t)size < room ? (size_t)size : room - 1;
}

/* Control characters, separators of lines, and what changes the direction in which the rest of the line is shown. */
static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
           (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069) ||
           character == UTF8_INVALID;
}

void config_text_add_quoted(struct config_text *text, const char *value, size_t size)
{
    size_t shown = utf8_cut(value, size, QUOTED_SIZE_MAX);
    uint32_t character;
    config_text_add(text, "\"");
    for (size_t at = 0, step; at < shown; at += step) {
        step = utf8_decode(value + at, shown - at, &character);
        if (!is_control(character)) {
            config_text_add(text, "%s%.*s", character == '"' || character == '\\' ? "\\" : "", (int)step, value + at);
            continue;
        }
        for (size_t i = 0; i < step; i++)
            config_text_add(text, "\\x%02x", (unsigned char)value[at + i]);
    }
    config_text_add(text, shown < size ? "\"..." : "\"");
}

void config_text_add_listed(struct config_text *text, const char *name, size_t index, size_t count, const char *last)
{
    if (index > 0 && index == count - 1)
        config_text_add(text, " %s ", last);
    else if (index > 0)
        config_text_add(text, ", ");
    config_text_add(text, "%s", name);
}
