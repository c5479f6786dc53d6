/*
 * Subscriptions: which call hiredis has as the callback of which channel, as hiredis itself keeps it. A second
 * subscription to a channel takes the place of the first; an unsubscription ends it when the reply arrives, unless
 * another subscription is on its way by then.
 */
#pragma once

#include "context/propagate/hiredis/redis_connection.h"

/* Before a SUBSCRIBE is sent: sees to it that nothing can go wrong afterwards. Errors: -ENOMEM. */
int redis_channels_prepare(struct redis_connection *connection, const struct redis_command *command) WEFT_MUST_CHECK;

/* When it has been sent: `call` (NULL: a command without a callback) is the callback of its channels. */
void redis_channels_subscribe(struct redis_connection *connection, const struct redis_command *command,
                              struct redis_call *call);

/* When it was refused: as if it had not been prepared. */
void redis_channels_forget(struct redis_connection *connection, const struct redis_command *command);

/* The connection's end: all of them end. */
void redis_channels_done(struct redis_connection *connection);

/* What hiredis calls with the struct redis_call of a subscription. */
void redis_channels_answer(struct redisAsyncContext *connection, void *reply, void *call);
