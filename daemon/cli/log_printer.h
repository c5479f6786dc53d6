/*
 * Prints lines of a log, which are JSON: as they are, or as they would look on a terminal.
 */
#pragma once

#include "context/macros.h"
#include "daemon/cli/log_match.h"

struct log_printer {
    bool json; /* as they are */
    bool colour;
    char *buffer; /* for a line of text */
};

/* Prepares to print on stdout, in colour where that is a terminal that wants it. Errors: -ENOMEM. */
int log_printer_init(struct log_printer *printer, bool json) MUST_CHECK;
void log_printer_done(struct log_printer *printer);

/* Prints a line, without its line feed. */
void log_printer_print(struct log_printer *printer, const char *line, size_t size);
