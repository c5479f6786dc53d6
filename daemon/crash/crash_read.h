/*
 * What a crash has left, read by the supervisor when the process is gone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/crash/crash.h"

/* A copy of what happened, bounded and with its strings ended, whatever the record holds. Errors: -ENOENT nothing was
 * noted. */
int crash_read(const struct crash_record *record, struct crash *ret_crash) MUST_CHECK;

/* The identity of the job whose code was running when the process died, by the record or, after deaths that leave no
 * record (SIGKILL, _exit()), by the note of the running job; 0: no job's was. Whether that job is to blame is another
 * question: SIGKILL may come from anybody. */
uintptr_t crash_culprit(const struct crash_record *record);

/* Says in one sentence, without a full stop, why the process has ended. `why`: what made the supervisor stop it, or
 * NULL. Always ends the text. */
void crash_describe(const struct crash_record *record, int status, const char *why, char *buffer, size_t size);
