/*
 * W3C Trace Context, level 1: the fields `traceparent` and `tracestate` of a message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"

#define TRACEPARENT_TRACE_ID_SIZE 32
#define TRACEPARENT_SPAN_ID_SIZE  16
#define TRACEPARENT_FLAGS_SIZE    2

/* The parts of a traceparent, lower-case hex digits, each a piece of the text that was parsed: no NUL follows. */
struct traceparent {
    const char *trace_id; /* TRACEPARENT_TRACE_ID_SIZE digits, not all zero */
    const char *span_id;  /* TRACEPARENT_SPAN_ID_SIZE digits, not all zero */
    const char *flags;    /* TRACEPARENT_FLAGS_SIZE digits */
};

/* Reads `size` bytes, which may be anything. Versions later than 00 are accepted, as W3C asks, when they begin as 00
 * does. Errors: -EINVAL. */
int traceparent_parse(const char *text, size_t size, struct traceparent *ret_traceparent) MUST_CHECK;

/* Whether a tracestate is worth handing on: 1 to 512 bytes of printable ASCII. Its list is not looked into. */
bool tracestate_is_valid(const char *text, size_t size);
