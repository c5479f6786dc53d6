/*
 * Who holds the jobs in flight of a queue, and whether they are still there: a node that died for good leaves its jobs
 * in flight until another one reads the queue.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "context/macros.h"
#include "daemon/cli/session.h"

struct holder {
    const char *consumer; /* of the reply; NULL: cannot be read */
    long long jobs;       /* that it holds */
    bool gone;
};

/* Whether the worker behind a consumer is gone, which Redis has not heard of for `silent_ms`: its processes, where they
 * were on this host, else its lease. */
bool holder_is_gone(const char *consumer, int64_t silent_ms, int64_t lease_ms);

/* Asks for the consumers of a stream; the reply is to be read with holder_read(). An error of Redis is given as well:
 * nobody has read the stream yet. NULL: it was not to be had, which has been reported. */
redisReply *holders_ask(struct session *session, const char *stream, size_t size) MUST_CHECK;

/* Reads consumer number `index` of such a reply. Gives whether there is one. */
bool holder_read(const struct session *session, const redisReply *reply, size_t index, struct holder *ret_holder);
