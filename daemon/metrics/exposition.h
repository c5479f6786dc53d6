/*
 * Prometheus's text format, version 0.0.4.
 */
#pragma once

#include <event2/buffer.h>

#include "daemon/metrics/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Begins a family of samples; `type` is counter, gauge or histogram. */
void exposition_begin(struct evbuffer *buffer, const char *name, const char *type, const char *help);

/* Writes a sample of the family; `labels` is `a="b",c="d"`, whose values need no escapes, or empty. */
void exposition_add(struct evbuffer *buffer, const char *name, const char *labels, uint64_t value);
void exposition_add_real(struct evbuffer *buffer, const char *name, const char *labels, double value);

/* A family of one sample without labels. */
void exposition_single(struct evbuffer *buffer, const char *name, const char *type, const char *help, uint64_t value);

/* The samples of a histogram, in seconds. */
void exposition_add_histogram(struct evbuffer *buffer, const char *name, const char *labels,
                              const struct histogram *histogram);
