/*
 * What a new connection says to Redis first: who it is, and which database it wants.
 */
#pragma once

#include <stdbool.h>

#include "context/macros.h"
#include "queue/options.h"
#include "queue/redis/command.h"

enum greeting_step { GREETING_AUTH, GREETING_SELECT, GREETING_NAME, GREETING_ID };
#define GREETING_STEPS (GREETING_ID + 1)

/* Writes the command of a step; no words: it is not needed. `name` is from greeting_make_name(). */
void greeting_write(enum greeting_step step, const struct queue_options *options, const char *name,
                    struct words *words);

/* Whether the connection is of no use when Redis refuses the step: whoever may not name itself or learn its number can
 * work all the same. */
bool greeting_is_vital(enum greeting_step step);

/* A copy of `name` that CLIENT SETNAME takes, to be freed; NULL: no memory. */
char *greeting_make_name(const char *name) MUST_CHECK;
