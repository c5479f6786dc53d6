/*
 * Calls: commands under way, and what becomes of their replies. A script is called by EVALSHA, and once more by EVAL
 * where Redis does not know it (a new or restarted server, SCRIPT FLUSH), which makes it known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "queue/keys.h"
#include "queue/link.h"
#include "queue/redis/command.h"
#include "queue/redis/connection.h"
#include "queue/scripts/scripts.h"

struct call;

/* What calls of one kind have in common; constant. */
struct call_kind {
    const struct queue_script *script; /* NULL: a command of Redis */
    /* Called so seldom that there is nothing to be gained from Redis knowing the script: sent by EVAL at once, so that
     * what write() reads need not outlive call_send(). */
    bool seldom;
    /* Writes a command with command_start(), or a script's keys and arguments behind call_start(). Of a script, is
     * called again for the second try, from a reply's callback. Errors: negative errno, which is what call_send() then
     * gives. */
    int (*write)(struct call *call);
    /* The reply, as a struct connection_request's. NULL, too, where the second try could not be sent. */
    void (*done)(struct call *call, const redisReply *reply);
};

/* A call under way; part of a record of the caller's, and the callee's from call_send() until done(). All zero at
 * first. */
struct call {
    struct connection_request request;
    const struct call_kind *kind;
    struct connection *connection;
    struct command *command;
    bool with_source;
    bool under_way; /* from call_send() until done() */
};

/* Sends a call, which must not be under way. `command` is used for it until this returns, and for the second try, so it
 * must outlive the call. Errors: -ENOTCONN, -ENOMEM, those of write(); then done() is not called. */
int call_send(struct call *call, const struct call_kind *kind, struct connection *connection,
              struct command *command) MUST_CHECK;

/* For write() of a script: starts the command with the number of its keys. Gives it; the keys come next, then the
 * arguments. */
struct command *call_start(const struct call *call, size_t keys);

/* The same without a call, for those who wait for the reply in another way: EVAL. */
void command_start_script(struct command *command, const struct queue_script *script, size_t keys);

/* Adds the QUEUE_KEY_COUNT keys of a queue. */
void command_add_queue(struct command *command, const struct queue_keys *keys);

/*
 * Calls of one kind to several queues, each of which answers for itself.
 */

struct queue_calls;

struct queue_calls_kind {
    const struct queue_script *script; /* NULL: a command of Redis */
    /* Writes a command with command_start(), or adds a script's arguments behind the queue's keys. NULL: none. */
    void (*write)(const struct queue_calls *calls, size_t queue, struct command *command);
    /* As in struct call_kind. */
    void (*done)(struct queue_calls *calls, size_t queue, const redisReply *reply);
};

/* Part of a record of the owner's. */
struct queue_calls {
    struct queue_link link;
    const struct queue_calls_kind *kind;
    struct call_kind of_one;
    struct command command;
    size_t under_way;
    struct queue_call *each;
};

/* What is given is borrowed, the link as it says. Errors: -ENOMEM; queue_calls_done() is then harmless. */
int queue_calls_init(struct queue_calls *calls, const struct queue_link *link,
                     const struct queue_calls_kind *kind) MUST_CHECK;

/* Not before the link's connection is freed. Harmless on calls that are all zero. */
void queue_calls_done(struct queue_calls *calls);

/* Calls a queue, unless that is under way. Errors: -ENOTCONN, -ENOMEM; then done() is not called. */
int queue_calls_send(struct queue_calls *calls, size_t queue) MUST_CHECK;

/* The same, but where a call is under way, whose answer may be too old, calls once more when it is there. */
void queue_calls_send_anew(struct queue_calls *calls, size_t queue);

/* Whether a queue's answer is awaited. */
bool queue_calls_is_under_way(const struct queue_calls *calls, size_t queue);

/* Calls all queues, up to the first that cannot be called. Errors: as above. */
int queue_calls_send_all(struct queue_calls *calls) MUST_CHECK;
