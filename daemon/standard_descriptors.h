/*
 * Descriptors 0 to 2. A program that is started without one would give its number to what it opens next, and then
 * write its log into a socket or its loop's own pipe.
 */
#pragma once

#include "context/macros.h"

/* Opens those of 0, 1 and 2 that are closed onto /dev/null, before anything else is opened. Reading from what stands in
 * for standard input is an error, as it was without it, so that nobody takes it for empty input. Errors: those of
 * open(2), negative. */
int standard_descriptors_open(void) MUST_CHECK;
