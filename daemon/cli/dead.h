/*
 * What the commands about dead letters share. Each has a file of its own.
 */
#pragma once

#include "daemon/cli/command.h"

/* weft dead list */
int dead_list(const struct invocation *invocation);

/* weft dead show ID */
int dead_show(const struct invocation *invocation);

/* weft dead retry ID|--all */
int dead_retry(const struct invocation *invocation);

/* weft dead delete ID */
int dead_delete(const struct invocation *invocation);
