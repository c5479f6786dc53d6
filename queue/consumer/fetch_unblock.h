/*
 * Ends the blocking read of one connection over another one.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/macros.h"
#include "queue/consumer/fetch.h"
#include "queue/redis/connection.h"

struct fetch_unblock {
    struct redis_request request;
    struct redis *commands;
    struct redis *reads;
    const struct fetch *fetch;
    struct command command;
    struct event *timer; /* until it is tried again */
    size_t wait;         /* the blocking read that is to end, by its number */
    bool sent;
};

/* `reads` is the connection that `fetch` reads over. All is borrowed. Errors: -ENOMEM. */
int fetch_unblock_init(struct fetch_unblock *unblock, struct event_base *base, struct redis *commands,
                       struct redis *reads, const struct fetch *fetch) MUST_CHECK;

/* Not before `commands` is freed. Harmless on one that is all zero. */
void fetch_unblock_done(struct fetch_unblock *unblock);

/* Ends the read that is under way, again and again until it has ended: the first try may come before the read has
 * reached Redis. Where it cannot, the read ends by itself in a while. */
void fetch_unblock_send(struct fetch_unblock *unblock);
