/*
 * Notes what happened in which order, as letters in a string, from anywhere on the test's thread.
 */
#pragma once

#include <stddef.h>

static char trace[1024];
static size_t trace_size;

static inline void trace_clear(void)
{
    trace[0] = '\0';
    trace_size = 0;
}

static inline void trace_add(char letter)
{
    if (trace_size + 1 < sizeof(trace)) {
        trace[trace_size++] = letter;
        trace[trace_size] = '\0';
    }
}
