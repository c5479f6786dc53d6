/*
 * Escaping: how text from strangers is shown in a log line, on a terminal or in a sentence without ending the line,
 * steering the terminal or passing for something else. Each target has a row in the table of escape.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What a target has to escape, to be combined. */
#define ESCAPE_HARMFUL    1u /* controls (C1 too), U+2028, U+2029, what changes the direction of text, invalid UTF-8 */
#define ESCAPE_QUOTES     2u /* quotes and backslashes */
#define ESCAPE_SEPARATORS 4u /* what separates logfmt's pairs: spaces and equals signs */
#define ESCAPE_NON_ASCII  8u /* all that is not ASCII */

/* The longest escape of one character. */
#define ESCAPE_SIZE_MAX 16

struct escape_target;

extern const struct escape_target escape_json;     /* a string of JSON */
extern const struct escape_target escape_terminal; /* text for people: a line's message, the output of weft */
extern const struct escape_target escape_quoted;   /* as that, within double quotes: a value of logfmt */
extern const struct escape_target escape_sentence; /* within double quotes; every byte that is escaped as \xNN */
extern const struct escape_target escape_ascii;    /* as that, and ASCII only */

/* How many bytes there are before the first that has to be escaped where `what` has. */
size_t escape_count_plain(const char *text, size_t size, unsigned what);

/* The same for a target. */
size_t escape_count_plain_for(const struct escape_target *target, const char *text, size_t size);

/* Writes the escape of the first character of `text` (`size` bytes, at least one), which has to be escaped, to
 * `escape`. Gives the number of bytes of `text` that it stands for. */
size_t escape_write(const struct escape_target *target, const char *text, size_t size,
                    char escape[static ESCAPE_SIZE_MAX], size_t *ret_size);
