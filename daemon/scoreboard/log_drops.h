/*
 * Whose log lines were lost, so that it can be said under each job: by the process itself when there is room again, or
 * by the supervisor when the process is gone.
 */
#pragma once

#include <stddef.h>

#include "context/log/log.h"

/* Jobs that are kept apart; lines of further ones are counted together. */
enum { LOG_DROPS_MAX = 64 };

enum log_drop_value { LOG_DROP_ID, LOG_DROP_TYPE, LOG_DROP_QUEUE, LOG_DROP_ATTEMPT, LOG_DROP_ROOT_ID, LOG_DROP_VALUES };

struct log_drop {
    unsigned lines;
    char values[LOG_DROP_VALUES][132]; /* what a line says of its job; "": nothing */
};

struct log_drops {
    size_t count;
    unsigned lines;  /* of all, those that are about no job among them */
    unsigned others; /* of further jobs */
    struct log_drop drops[LOG_DROPS_MAX];
};

/* Notes that this line was lost. */
void log_drops_add(struct log_drops *drops, const struct log_record *record);

void log_drops_clear(struct log_drops *drops);

/* Copies what another process has noted, and puts right what makes no sense in it; then clears that. */
void log_drops_take(struct log_drops *drops, struct log_drops *ret_drops);
