/*
 * Whether a tool watches over the memory, whose own needs some tests would run into.
 */
#pragma once

#include <stdbool.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer)
#define CHECKER_SANITIZER 1
#else
#define CHECKER_SANITIZER 0
#endif

/* gcc's address sanitizer takes what is left of the frames of a thread that is cancelled inside of them for overflows,
 * and falls over its own report. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define CHECKER_KNOWS_CANCELLATION 0
#else
#define CHECKER_KNOWS_CANCELLATION 1
#endif

static inline bool checker_is_watching(void)
{
    return CHECKER_SANITIZER || RUNNING_ON_VALGRIND;
}

/* For functions that have to use the stack that they are on, not one that the address sanitizer fakes. */
#define CHECKER_REAL_STACK __attribute__((noinline, no_sanitize_address))
