/*
 * Calls of the embedded scripts: EVALSHA, and once more by EVAL where Redis does not know the script (a new or
 * restarted server, SCRIPT FLUSH), which makes it known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "queue/keys.h"
#include "queue/redis/command.h"
#include "queue/redis/connection.h"
#include "queue/scripts/scripts.h"

struct script_call;

/* What calls of one kind have in common; constant. */
struct script_call_kind {
    const struct queue_script *script;
    /* Called so seldom that there is nothing to be gained from Redis knowing it: sent by EVAL at once, so that what
     * write() reads need not outlive script_call_send(). */
    bool seldom;
    /* Writes the keys and arguments behind script_call_start(). Is called again for the second try, from a reply's
     * callback. Errors: negative errno, which is what script_call_send() then gives. */
    int (*write)(struct script_call *call);
    /* The reply, as a struct redis_request's. NULL, too, where the second try could not be sent. */
    void (*done)(struct script_call *call, const redisReply *reply);
};

/* A call under way; part of a record of the caller's, and the callee's from script_call_send() until done(). All zero
 * at first. Calls of a kind that is `seldom` may be sent again before the last one is done. */
struct script_call {
    struct redis_request request;
    const struct script_call_kind *kind;
    struct redis *redis;
    struct command *command;
    bool with_source;
};

/* Sends a call. `command` is used for it until this returns, and for the second try, so it must outlive the call.
 * Errors: -ENOTCONN, -ENOMEM, those of write(); then done() is not called. */
int script_call_send(struct script_call *call, const struct script_call_kind *kind, struct redis *redis,
                     struct command *command) MUST_CHECK;

/* For write(): starts the command with the number of its keys. Gives it; the keys come next, then the arguments. */
struct command *script_call_start(const struct script_call *call, size_t keys);

/* The same without a call, for those who wait for the reply in another way: EVAL. */
void script_command_start(struct command *command, const struct queue_script *script, size_t keys);

/* Adds the QUEUE_KEY_COUNT keys of a queue. */
void script_command_add_queue(struct command *command, const struct queue_keys *keys);
