/*
 * What is wrong with Redis, said once for the whole node: each process notices by itself, with connections of its own,
 * but an operator wants one line when it begins and one when it is over.
 */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/worker_pool.h"

#define HEALTH_REPORT_TEXTS_MAX 8

struct health_report {
    bool unhealthy;                                               /* something has been said, and not that it is over */
    char texts[HEALTH_REPORT_TEXTS_MAX][SCOREBOARD_PROBLEM_SIZE]; /* what has been said since then */
    size_t text_count;
};

/* Says what is wrong, unless that has been said. */
void health_report_say(struct health_report *health_report, const char *problem);

/* Looks at what is wrong in the generation in force and its workers, and says so; a few times a second. Others, of
 * which one may never come into force, say nothing of how weftd is. */
void health_report_check(struct health_report *health_report, const struct worker_pool *pool);
