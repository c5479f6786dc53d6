/*
 * The parts of context_weft.
 */
#pragma once

#include "tests/bench/timing.h"

/* Has `timing` measured in a context of so many values (0: at the root), of which one is called "user", inside of
 * `depth` runs. */
void bench_in_context(size_t values, size_t depth, void (*measure)(struct timing *timing), struct timing *timing);

/* Each measures its operations and prints their lines. */
void bench_turns(void);
void bench_tasks(void);
void bench_offload(void);
