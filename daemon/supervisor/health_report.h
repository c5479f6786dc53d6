/*
 * What is wrong with Redis, said once for the whole node: each process notices by itself, with connections of its own,
 * but an operator wants one line when it begins and one when it is over.
 */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/worker_pool.h"

#define NOTICE_TEXTS_MAX 8

struct notice {
    bool supervisor_ailing;
    bool ailing;                                           /* something has been said, and not that it is over */
    char texts[NOTICE_TEXTS_MAX][SCOREBOARD_PROBLEM_SIZE]; /* what has been said since then */
    size_t text_count;
};

/* What the supervisor's own connections say; NULL: nothing is wrong any more. */
void notice_supervisor(struct notice *notice, const char *problem);

/* Looks at what the workers say, and says so; a few times a second. */
void notice_look(struct notice *notice, const struct crew *crew);
