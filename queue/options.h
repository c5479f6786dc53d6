/*
 * What queue/ has to know from the configuration. Plain data, borrowed: it must outlive whoever was given it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_spec {
    const char *name;
    unsigned weight;      /* from 1; a queue of weight 5 is read five times as much as one of weight 1 */
    unsigned concurrency; /* jobs that a worker holds at the most; 0: no limit */
    unsigned reserve;     /* places of a worker that are kept for it */
};

struct queue_options {
    /* Where Redis is: either a unix socket's path, or host and port. */
    const char *socket_path;
    const char *host;
    int port;
    int database;
    const char *username; /* NULL: the default user */
    const char *password; /* NULL: no AUTH */

    const char *prefix; /* of every key: "weft" */
    const char *node;   /* this node's name */
    const struct queue_spec *queues;
    size_t queue_count;
    bool exclusive; /* only this host can use this Redis, and only one weftd at a time */

    int64_t lease_ms;
    int64_t keep_done_ms;
    int64_t keep_done_max; /* reports a queue */
    int64_t keep_failed_ms;
    int64_t keep_dead;   /* dead letters a queue */
    int64_t payload_max; /* bytes */
    int64_t held_max;    /* bytes of messages in a worker */
};
