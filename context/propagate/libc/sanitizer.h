/*
 * Sanitizers, which have functions of their own in front of libc's: where they are part of the executable, the next
 * function in the search order would be libc's.
 */
#pragma once

#include "context/propagate/propagate.h"

/* Says that a sanitizer may have such a function. */
#define SANITIZED(function_) extern __typeof__(function_) __interceptor_##function_ __attribute__((weak))

/* The sanitizer's function, else the real one. */
#define REAL_OR_SANITIZED(function_) (&__interceptor_##function_ ? &__interceptor_##function_ : REAL(function_))
