#include "queue/message/rejection.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "context/escape.h"

struct rejection_quote rejection_quote(const char *bytes, size_t size)
{
    struct rejection_quote quote;
    size_t shown = size < REJECTION_QUOTE_MAX ? size : REJECTION_QUOTE_MAX;
    char *end = quote.text;

    *end++ = '"';
    for (size_t at = 0; at < shown;) {
        char escape[ESCAPE_SIZE_MAX];
        size_t plain = escape_count_plain_for(&escape_ascii, bytes + at, shown - at), escape_size = 0;

        end = mempcpy(end, bytes + at, plain);
        at += plain;
        if (at < shown)
            at += escape_write(&escape_ascii, bytes + at, shown - at, escape, &escape_size);
        end = mempcpy(end, escape, escape_size);
    }
    *end++ = '"';
    assert(end + sizeof("...") <= quote.text + sizeof(quote.text));
    strcpy(end, shown < size ? "..." : "");
    return quote;
}

void rejection_write_reason(struct message_rejection *rejection, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(rejection->reason, sizeof(rejection->reason), format, args);
    va_end(args);
}
