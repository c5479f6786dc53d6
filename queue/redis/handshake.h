/*
 * What a new connection says to Redis first: who it is, and which database it wants.
 */
#pragma once

#include <stdbool.h>

#include "context/macros.h"
#include "queue/options.h"
#include "queue/redis/command.h"

enum handshake_step { HANDSHAKE_AUTH, HANDSHAKE_SELECT, HANDSHAKE_NAME, HANDSHAKE_ID };
#define HANDSHAKE_STEPS (HANDSHAKE_ID + 1)

/* Writes the command of a step; no arguments: it is not needed. `name` is from handshake_make_name(). */
void handshake_write(enum handshake_step step, const struct queue_options *options, const char *name,
                     struct command *command);

/* Whether the connection is of no use when Redis refuses the step: whoever may not name itself or learn its number can
 * work all the same. */
bool handshake_is_vital(enum handshake_step step);

/* A copy of `name` that CLIENT SETNAME takes, to be freed; NULL: no memory. */
char *handshake_make_name(const char *name) MUST_CHECK;
