/*
 * The embedded Redis (`redis: {url: embedded}`): a redis-server of weftd's own, on a unix socket, with an append-only
 * file.
 */
#pragma once

#include <sys/types.h>

#include "context/macros.h"
#include "daemon/config/config.h"

struct redis_server;

/* Takes hold of the data directory (made if missing), so that no two nodes share one, and starts the server. It ends by
 * itself when this process is gone. `config` is needed during the call only. On failure `*ret_message` is a sentence
 * for the user, to be freed. Errors: negative errno. */
int redis_server_new(const struct config *config, struct redis_server **ret_server, char **ret_message) MUST_CHECK;

/* To be told about every child that has ended. When it is the server: says so in the log, starts it again, and gives
 * true. */
bool redis_server_child_ended(struct redis_server *server, pid_t pid, int status);

/* Whether the server is the one that was started first: it may be reading its data, but has not given up. */
bool redis_server_endures(const struct redis_server *server);

/* Stops the server, which saves what it has, and waits for that. Takes NULL, gives NULL. */
struct redis_server *redis_server_free(struct redis_server *server);
