/*
 * What is wrong with Redis, said once for the whole node: each process notices by itself, with connections of its own,
 * but an operator wants one line when it begins and one when it is over.
 */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/worker_pool.h"

#define HEALTH_REPORT_TEXTS_MAX 8

struct health_report {
    bool supervisor_unhealthy;
    bool unhealthy;                                               /* something has been said, and not that it is over */
    char texts[HEALTH_REPORT_TEXTS_MAX][SCOREBOARD_PROBLEM_SIZE]; /* what has been said since then */
    size_t text_count;
};

/* What the supervisor's own connections say; NULL: nothing is wrong any more. */
void health_report_supervisor(struct health_report *health_report, const char *problem);

/* Looks at what the workers say, and says so; a few times a second. */
void health_report_check(struct health_report *health_report, const struct worker_pool *pool);
