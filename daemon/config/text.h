/*
 * A short text that is put together piece by piece, for the configuration's messages.
 */
#pragma once

#include <stddef.h>

/* Begin with `{0}`. What does not fit is left out, and the text stays NUL-terminated. */
struct config_text {
    size_t size; /* without the NUL */
    char text[512];
};

/* Adds (printf's). */
void config_text_add(struct config_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds `size` bytes of a value in double quotes: UTF-8 stays readable, but control characters are escaped, so that the
 * message remains one line of plain text, and of a long value only the beginning is shown. */
void config_text_add_quoted(struct config_text *text, const char *value, size_t size);

/* Adds one of `count` names, number `index` from 0, with what belongs before it in an enumeration: `a, b and c`, where
 * `last` is the word `and` (or `or`). */
void config_text_add_listed(struct config_text *text, const char *name, size_t index, size_t count, const char *last);
