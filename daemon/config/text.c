#include "daemon/config/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "context/escape.h"
#include "context/utf8.h"

#define QUOTED_SIZE_MAX 100

void config_text_add(struct config_text *text, const char *format, ...)
{
    assert(text->size < sizeof(text->text));
    size_t room = sizeof(text->text) - text->size;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text->text + text->size, room, format, args);
    va_end(args);
    if (size > 0)
        text->size += (size_t)size < room ? (size_t)size : room - 1;
}

void config_text_add_quoted(struct config_text *text, const char *value, size_t size)
{
    size_t shown = utf8_cut(value, size, QUOTED_SIZE_MAX);

    config_text_add(text, "\"");
    for (size_t at = 0; at < shown;) {
        char escape[ESCAPE_SIZE_MAX];
        size_t plain = escape_count_plain_for(&escape_sentence, value + at, shown - at), escape_size = 0;

        config_text_add(text, "%.*s", (int)plain, value + at);
        at += plain;
        if (at < shown)
            at += escape_write(&escape_sentence, value + at, shown - at, escape, &escape_size);
        config_text_add(text, "%.*s", (int)escape_size, escape);
    }
    config_text_add(text, shown < size ? "\"..." : "\"");
}

void config_text_add_listed(struct config_text *text, const char *name, size_t index, size_t count, const char *last)
{
    assert(index < count);
    if (index > 0 && index == count - 1)
        config_text_add(text, " %s ", last);
    else if (index > 0)
        config_text_add(text, ", ");
    config_text_add(text, "%s", name);
}
