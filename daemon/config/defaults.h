/*
 * Defaults that depend on the machine and the user, and so are not in the table.
 */
#pragma once

#include "daemon/config/config.h"

/* Sets `node`, `workers` and `redis.dir` (NULL where the user has no home) of a zeroed configuration. Errors: -ENOMEM.
 */
int config_defaults_set(struct config *config) __attribute__((warn_unused_result));
