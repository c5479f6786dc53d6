/*
 * Backtraces in words: the names and lines of the functions that a dead process was in, and of the operations that led
 * there.
 */
#pragma once

#include "daemon/crash/crash.h"

/* At the most, of those that are worth naming. */
#define BACKTRACE_FRAMES_MAX 16

#define BACKTRACE_SIZE 2048

/* How long whoever has a process to look after can wait for names; finding them takes some ten milliseconds. */
#define BACKTRACE_LIMIT_MS 1000

/* Both empty where nothing is known; cut to whole parts where there is too much. */
struct backtrace {
    char frames[BACKTRACE_SIZE]; /* the innermost first: "load_profile (profile.c:42) < audit (profile.c:17)" */
    char stack[BACKTRACE_SIZE];  /* the latest first: "timer at audit (profile.c:17), started by job user.profile" */
};

/* Puts the frames of a crash, and the links of its stack, into words. Weft's own machinery is left out of the frames.
 * Files are read, which may be anything, in a process forked for that: whatever happens to it, and after `limit_ms` at
 * the most, there are texts, of modules and offsets if need be. Blocks for that long at the most, and reaps the process
 * itself. */
void backtrace_describe(const struct crash *crash, int limit_ms, struct backtrace *ret_backtrace);

/* The same for a thread of this process, which lives: puts `count` addresses that its calls return to, the innermost
 * first, into words, by what places of this process are called (context/async/code_address.h). Takes some milliseconds
 * for the first address of each file. */
void backtrace_describe_thread(const struct module_map *map, const uintptr_t *frames, size_t count,
                               char buffer[static BACKTRACE_SIZE]);
