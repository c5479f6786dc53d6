/*
 * What handlers may do to bring their process down. Nothing here is noticed by a compiler, or by the
 * undefined-behaviour sanitizer, before it happens.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#define MISCHIEF __attribute__((noinline, unused, no_sanitize("address"), no_sanitize("undefined"))) static

static volatile uintptr_t mischief_address = 0x10;
static volatile int mischief_zero;

MISCHIEF int read_nowhere(void)
{
    return *(volatile int *)mischief_address;
}

MISCHIEF int divide_by_zero(void)
{
    return 7 / mischief_zero;
}

/* Each frame looks at its caller's, so that no compiler makes a loop of it. */
MISCHIEF int recurse(const volatile char *caller)
{
    volatile char frame[1024];

    frame[0] = *caller;
    return mischief_zero ? 0 : recurse(frame) + frame[0];
}

MISCHIEF int call_nothing(void)
{
    int (*volatile nothing)(void) = NULL;

    return nothing() + 1;
}
