/*
 * Forking, for all processes that weftd starts: the worker, the check of plugins, the naming of a backtrace and the
 * embedded Redis; and what a process takes up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "context/macros.h"

/* As fork(), but no signal reaches the child before it is ready: all are blocked there, and those that this process
 * handles have their default action, since its handlers would speak for this process; handlers of faults stay. Gives
 * the child's ID, 0 in the child. Errors: those of fork(2), negative. */
pid_t process_fork(void) MUST_CHECK;

/* Blocks signals, whose numbers end with 0: with SIG_BLOCK these also, with SIG_SETMASK these alone. */
void process_mask_signals(int how, const int *numbers);

/* In a child: closes every descriptor beyond standard error but those that `keeps` says are still used. `keeps` NULL:
 * all of them. */
void process_close_descriptors(bool (*keeps)(int fd, const void *arg), const void *arg);

/* `keeps` for one descriptor: `arg` is its `const int *`. */
bool process_keeps_one(int fd, const void *arg);

/* How much of a process is in memory, in bytes, and how much of that it shares with nobody: no files, no shared memory.
 * 0: that is not known. */
size_t process_resident_bytes(pid_t pid);
size_t process_private_bytes(pid_t pid);
