/*
 * Replies of Redis: hiredis's own reply objects, but built in an arena instead of with one malloc for each field.
 */
#pragma once

#include <stdbool.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "queue/redis/arena.h"

/* Lets the connection build its replies in `arena`, which must outlive it. A reply is then valid only during its
 * callback. */
void reply_use_arena(redisAsyncContext *context, struct arena *arena);

/* Whether it is an error; `code` is the error's first word ("NOGROUP"), NULL: any error. */
bool reply_is_error(const redisReply *reply, const char *code);

/* Whether the error says that the server as a whole cannot serve us now (it is loading, is read-only, wants a password
 * and the like), so that connecting again later is all there is to do. What the server refuses to do for the time being
 * (there is no memory, or no permission for it) may hold for one command and not for others: it is not among these. */
bool reply_blames_server(const redisReply *reply);
