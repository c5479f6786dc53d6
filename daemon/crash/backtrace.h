/*
 * Backtraces in words: the names and lines of the functions that a dead process was in.
 */
#pragma once

#include <stddef.h>

#include "daemon/crash/crash.h"

/* At the most, of those that are worth naming. */
#define BACKTRACE_FRAMES_MAX 16

/* Puts the frames of a crash into words, the innermost first, such as
 *
 *     load_profile (profile.c:42) < audit (profile.c:17)
 *
 * Weft's own machinery is left out. Files are read, which may be anything, in a process forked for that: whatever
 * happens to it, and after a second at the most, there is a text, of modules and offsets if need be. Gives its length;
 * 0 (and an empty text) where there is no frame. Blocks for that second at the most, and reaps the process
 * itself. */
size_t backtrace_describe(const struct crash *crash, char *buffer, size_t size);
