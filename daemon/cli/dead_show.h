/*
 * weft dead show ID: all fields of one.
 */
#pragma once

#include "daemon/cli/command.h"

/* Gives the exit status. */
int dead_show(const struct invocation *invocation);
