/*
 * What somebody may have meant who wrote a key that does not exist.
 */
#pragma once

#include "daemon/config/table.h"

/* The section's key that is nearest to `name`, or NULL when none is near. Upper and lower case count as the same. */
const char *config_suggest_key(const struct config_section *section, const char *name);
