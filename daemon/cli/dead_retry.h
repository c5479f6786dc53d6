/*
 * weft dead retry ID|--all: jobs that died run once more.
 */
#pragma once

#include "daemon/cli/command.h"

/* Gives the exit status. */
int dead_retry(const struct invocation *invocation);
