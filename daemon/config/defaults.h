/*
 * Defaults that depend on the machine and the user, and so are not in the table.
 */
#pragma once

#include "context/macros.h"
#include "daemon/config/config.h"

/* Sets `node`, `workers` and `redis.dir` (NULL where the user has no home) of a zeroed configuration. Errors: -ENOMEM.
 */
int config_defaults_set(struct config *config) MUST_CHECK;
