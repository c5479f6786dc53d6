/*
 * What somebody may have meant who wrote a key that does not exist.
 */
#pragma once

#include <stddef.h>

#include "daemon/config/config.h"
#include "daemon/config/table.h"

/* The section's key that is nearest to `name`, or NULL when none is near. Upper and lower case count as the same. */
const char *config_suggest_key(const struct config_section *section, const char *name);

/* The configured queue that somebody may have meant who enqueued into the stream with the key `key` (any bytes),
 * without the braces, say, or with a slip in the name; NULL: none is near, or it is just that one's. */
const char *config_suggest_queue(const struct config *config, const char *key, size_t size);
