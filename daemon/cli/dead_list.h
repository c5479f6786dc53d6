/*
 * weft dead list: the oldest first.
 */
#pragma once

#include "daemon/cli/command.h"

/* Gives the exit status. */
int dead_list(const struct invocation *invocation);
