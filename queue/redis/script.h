/*
 * Calls of the embedded scripts: the words of EVALSHA, or of EVAL where Redis does not know the script (a new or
 * restarted server, SCRIPT FLUSH), which makes it known.
 */
#pragma once

#include <stdbool.h>

#include "queue/keys.h"
#include "queue/redis/command.h"
#include "queue/scripts/scripts.h"

/* Starts a call with the keys of `queues` queues, which script_call_add_keys() then adds, before the arguments. */
void script_call_start(struct command *command, const struct queue_script *script, bool with_source, size_t queues);

/* The same with any keys, which the caller adds. */
void call_start_keys(struct command *command, const struct queue_script *script, bool with_source, size_t keys);

void script_call_add_keys(struct command *command, const struct queue_keys *keys);
