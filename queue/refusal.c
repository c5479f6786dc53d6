#include "queue/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends one byte of a value, escaped, and gives the new end. */
static char *append_escaped(char *end, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";

    if (byte < ' ' || byte > '~') {
        *end++ = '\\';
        *end++ = 'x';
        *end++ = digits[byte >> 4];
        *end++ = digits[byte & 15];
        return end;
    }
    if (byte == '"' || byte == '\\')
        *end++ = '\\';
    *end++ = (char)byte;
    return end;
}

struct refusal_quote refusal_quote(const char *bytes, size_t size)
{
    struct refusal_quote quote;
    size_t shown = size < REFUSAL_QUOTE_MAX ? size : REFUSAL_QUOTE_MAX;
    char *end = quote.text;

    *end++ = '"';
    for (size_t i = 0; i < shown; i++)
        end = append_escaped(end, (unsigned char)bytes[i]);
    *end++ = '"';
    strcpy(end, shown < size ? "..." : "");
    return quote;
}

void refusal_write_reason(struct message_refusal *refusal, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(refusal->reason, sizeof(refusal->reason), format, args);
    va_end(args);
}
