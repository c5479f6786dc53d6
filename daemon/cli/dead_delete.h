/*
 * weft dead delete ID: one, and the report of its job.
 */
#pragma once

#include "daemon/cli/command.h"

/* Gives the exit status. */
int dead_delete(const struct invocation *invocation);
