/*
 * Orphans: a worker whose supervisor has died finishes what it runs and ends. Nobody is left to end it if it does not,
 * so it sees to that beforehand: also a handler that never lets go of the loop does not keep it alive.
 */
#pragma once

#include <stdint.h>

#include "context/macros.h"

/* In a worker, once: from now on the death of the parent sends this process SIGTERM, and SIGKILL `limit_ms` later.
 * Errors: negative errno. */
int orphan_prepare(int64_t limit_ms) MUST_CHECK;
