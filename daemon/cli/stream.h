/*
 * Walks through a stream of Redis a page at a time. Pages are as large as their entries allow: a thousand small ones or
 * a few large ones.
 */
#pragma once

#include "context/macros.h"
#include "daemon/cli/session.h"

/* One entry; everything is borrowed. */
struct stream_entry {
    const char *id;
    redisReply *const *fields; /* a name and a value each, both strings */
    size_t count;              /* of the fields */
};

/* The last value of the field, as counts; NULL: there is none. */
const redisReply *stream_entry_find(const struct stream_entry *entry, const char *name);

/* Reads an entry out of a reply of XRANGE. Gives whether it is one. */
bool stream_entry_read(const redisReply *reply, struct stream_entry *ret_entry);

enum stream_order { STREAM_OLDEST_FIRST, STREAM_NEWEST_FIRST };

enum stream_result {
    STREAM_ENDED,   /* all entries have been visited */
    STREAM_STOPPED, /* by the visitor */
    STREAM_LIMITED, /* there may be more entries than were to be visited */
    STREAM_FAILED,  /* and the reason has been reported */
};

/* Calls `visit` for each entry, at most `limit` of them, until it gives true. Waits for Redis. */
enum stream_result stream_walk(struct session *session, const char *key, enum stream_order order, size_t limit,
                               bool (*visit)(const struct stream_entry *entry, void *user), void *user) MUST_CHECK;
