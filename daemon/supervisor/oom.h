/*
 * Whether the kernel has killed processes because memory had run out, as far as it tells: by the counter of this
 * process's cgroup, or of the whole host.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct oom {
    char path[4096]; /* the file that has the counter */
    int64_t count;   /* as last seen; -1: there is none */
};

/* Finds the counter and reads it. */
void oom_init(struct oom *oom);

/* Whether it has gone up since it was last looked at. */
bool oom_has_killed(struct oom *oom);
