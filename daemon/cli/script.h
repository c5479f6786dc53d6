/*
 * Calls of the scripts in queue/scripts/.
 */
#pragma once

#include "context/macros.h"
#include "daemon/cli/session.h"
#include "queue/scripts/scripts.h"

/* Runs a script for one queue with its arguments, and gives the reply as session_ask() does. */
redisReply *script_call(struct session *session, int type, const struct queue_script *script,
                        const struct queue_keys *keys, const char *const *arguments, size_t count) MUST_CHECK;
