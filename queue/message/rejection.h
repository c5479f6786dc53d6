/*
 * Why a message is refused: one sentence for the dead letter, the log and the person who enqueued it. Values come from
 * strangers, so they are shown only in quotes, cut short and escaped.
 */
#pragma once

#include <stddef.h>

#define REJECTION_REASON_SIZE 512
#define REJECTION_NAME_SIZE   129 /* a job ID or a type, and its NUL */
#define REJECTION_QUOTE_MAX   64  /* bytes of a value that are shown */

struct message_rejection {
    char reason[REJECTION_REASON_SIZE]; /* printable ASCII, no line feed at the end */
    char id[REJECTION_NAME_SIZE];       /* the job ID that the message asked for, if valid, else its entry's ID */
    char type[REJECTION_NAME_SIZE];     /* "" where there is none or it is not a type's name */
};

/* A value made fit for a sentence. */
struct rejection_quote {
    char text[4 * REJECTION_QUOTE_MAX + sizeof("\"...\"")];
};

/* Quotes `size` bytes: in double quotes, of at most REJECTION_QUOTE_MAX bytes (then `...` follows), unprintable and
 * non-ASCII bytes as \xNN, `"` and `\` with a backslash before them. */
struct rejection_quote rejection_quote(const char *bytes, size_t size);

/* Writes the reason (printf's). */
void rejection_write_reason(struct message_rejection *rejection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
