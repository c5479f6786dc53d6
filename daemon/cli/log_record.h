/*
 * The way back from a line of JSON to what the logger had: so that a line read from a file looks as it would have
 * looked on a terminal.
 */
#pragma once

#include <jansson.h>

#include "context/log/log.h"
#include "context/macros.h"

/* A record and what it points to, beside the object that it was made of. */
struct log_record_copy {
    struct log_record record;
    struct log_value labels[LOG_LABELS_MAX];
    char numbers[LOG_LABELS_MAX][24]; /* labels that are numbers */
    struct log_value context[LOG_CONTEXT_MAX];
    struct weft_field *fields; /* of `data`; NULL: none */
};

/* Makes a record of a line's object, which must outlive it. Keys that are not the logger's are labels, what is no text
 * nor number is shown as null. To be given to log_record_done(). Errors: -EINVAL: not a line of the log; -ENOMEM. */
int log_record_init(struct log_record_copy *copy, const json_t *line) MUST_CHECK;
void log_record_done(struct log_record_copy *copy);
