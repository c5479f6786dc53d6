/*
 * The format for people.
 */
#pragma once

#include "context/log/log.h"

/* Appends one line with its line feed to `buffer` and gives its length: logfmt-like. `colour` adds ANSI colours; no
 * other control character or escape ever gets through. 0 means that the line does not fit in `size` bytes; it fits in
 * LOG_LINE_MAX bytes. */
size_t log_format_text(const struct log_record *record, bool colour, char *buffer, size_t size);
