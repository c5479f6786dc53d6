/*
 * The format for machines.
 */
#pragma once

#include "context/log/log.h"

/* Appends one line with its line feed to `buffer` and gives its length: one JSON object, keys in the order of
 * interface.md §6, empty objects left out. Invalid UTF-8 becomes U+FFFD. 0 means that the line does not fit in `size`
 * bytes; it fits in LOG_LINE_MAX bytes. */
size_t log_format_json(const struct log_record *record, char *buffer, size_t size);
