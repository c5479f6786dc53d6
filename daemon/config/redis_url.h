/*
 * Where Redis is, as one line: redis://[USER@]HOST[:PORT][/DB], unix:///PATH[?db=N] or embedded.
 */
#pragma once

#include "daemon/config/value.h"

/* The longest path that a unix socket's address has room for. */
#define CONFIG_SOCKET_PATH_MAX 107

/* char *: the URL itself; its parts go into the reader's configuration. No message repeats any of it, for it may hold a
 * password in a place where none belongs. */
extern const struct config_type config_type_redis_url;
