/*
 * The table and the file, side by side: reads every key that is given, and falls back for those that are not.
 */
#pragma once

#include "context/macros.h"
#include "daemon/config/reader.h"

/* Fills the reader's configuration from its document. Errors: -EINVAL with a message noted, -ENOMEM; the configuration
 * is then half filled. */
int config_walk(struct config_reader *reader) MUST_CHECK;
