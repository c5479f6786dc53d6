/*
 * One connection to Redis that stays: connects, authenticates, and does so again with growing pauses whenever the
 * connection or the server fails.
 *
 * Nothing here waits. Callbacks come from the event loop, never from inside the functions below, but for replies that
 * connection_fail() finds outstanding.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/options.h"
#include "queue/redis/command.h"
#include "queue/redis/health.h"
#include "queue/redis/reply.h"

struct connection;

struct connection_events {
    /* Commands may be sent. */
    void (*up)(void *user);
    /* The connection is gone; each outstanding request has been answered with NULL before. */
    void (*down)(void *user);
};

/* A command whose reply is awaited; part of a record of the sender's, and the sender's until `done` is called. The
 * reply is valid during the call; NULL: the connection was lost, and whether the command was carried out is unknown, or
 * the server says that it cannot serve us, and the connection is about to be lost. */
struct connection_request {
    void (*done)(struct connection_request *request, const redisReply *reply); /* NULL: nobody wants to know */
    bool takes_blame; /* the sender wants to see such an error, too, and the connection stays */
};

/* Starts connecting. `name` is shown by CLIENT LIST. `health` hears of what is wrong with the connection, which is
 * well again with the first reply that is not an error. What is given is borrowed and must outlive it. Errors: -ENOMEM.
 */
int connection_new(struct event_base *base, const struct queue_options *options, const char *name,
                   struct health *health, const struct connection_events *events, void *user,
                   struct connection **ret_redis) MUST_CHECK;

/* Closes at once; outstanding requests are forgotten, not answered. Takes NULL, gives NULL. */
struct connection *connection_free(struct connection *connection);

/* Whether commands may be sent. */
bool connection_is_up(const struct connection *connection);

/* The connection's number for CLIENT UNBLOCK; 0: not known. */
long long connection_client_id(const struct connection *connection);

/* Sends a command, with others in one write when the event loop comes round. Errors: -ENOTCONN, -ENOMEM; then the
 * request is not answered. */
int connection_send(struct connection *connection, const struct command *command,
                    struct connection_request *request) MUST_CHECK;

/* The same for a command that is written already, as redisFormatCommandArgv() does it; copied. */
int connection_send_raw(struct connection *connection, const char *command, size_t size,
                        struct connection_request *request) MUST_CHECK;

/* Writes now what has been sent, as far as the socket takes it. */
void connection_flush(struct connection *connection);

/* The server cannot serve us, as its `error` says: reports that, closes, and connects again after a pause. */
void connection_fail(struct connection *connection, const char *error);
