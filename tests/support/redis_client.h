/*
 * A client as any program would have it: hiredis on libevent, by hiredis's own adapter, on a connection to the test's
 * Redis. Nothing in it knows of contexts.
 */
#pragma once

#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>

#include "tests/support/expect.h"
#include "tests/support/redis_server.h"

static struct redis_server redis_client_server;

struct redis_client {
    struct event_base *base;
    redisAsyncContext *connection; /* NULL: it has ended */
    unsigned outstanding;          /* replies that a test waits for */
};

/* For cmocka's groups. */
static inline int redis_client_group_setup(void **state)
{
    (void)state;
    redis_server_start(&redis_client_server);
    return 0;
}

static inline int redis_client_group_teardown(void **state)
{
    (void)state;
    redis_server_stop(&redis_client_server);
    return 0;
}

static inline redisAsyncContext *redis_client_connect(struct event_base *base)
{
    redisAsyncContext *connection = redisAsyncConnectUnix(redis_client_server.socket);

    assert_non_null(connection);
    assert_int_equal(connection->err, 0);
    assert_int_equal(redisLibeventAttach(connection, base), REDIS_OK);
    return connection;
}

static inline void redis_client_init(struct redis_client *client)
{
    *client = (struct redis_client){.base = event_base_new()};
    assert_non_null(client->base);
    client->connection = redis_client_connect(client->base);
    client->connection->data = client;
}

/* One reply more has come; the loop stops after the last. */
static inline void redis_client_has_reply(struct redis_client *client)
{
    if (--client->outstanding == 0)
        (void)event_base_loopbreak(client->base);
}

/* Runs the loop until all replies have come. */
static inline void redis_client_run(struct redis_client *client)
{
    if (client->outstanding > 0)
        EXPECT(event_base_dispatch(client->base) >= 0);
    EXPECT_EQUAL(client->outstanding, 0);
}

/* Runs the loop until there is nothing left to wait for. */
static inline void redis_client_run_to_the_end(const struct redis_client *client)
{
    EXPECT(event_base_dispatch(client->base) >= 0);
}

static inline void redis_client_done(struct redis_client *client)
{
    if (client->connection)
        redisAsyncFree(client->connection);
    event_base_free(client->base);
}
