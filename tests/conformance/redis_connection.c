/* A Redis client in plain hiredis, as far as its connection goes: the second half of C50. */
#include "tests/conformance/harness.h"
#include "tests/support/redis_client.h"
#include "tests/support/trace.h"

/* ---- Connecting and disconnecting ---- */

static void connected(const redisAsyncContext *connection, int status)
{
    (void)connection;
    EXPECT_TEXT(weft_get("a"), "of the connecting");
    trace_add(status == REDIS_OK ? 'c' : 'f');
}

static void disconnected(const redisAsyncContext *connection, int status)
{
    struct redis_client *client = connection->data;

    EXPECT_TEXT(weft_get("a"), "of the disconnecting");
    trace_add(status == REDIS_OK ? 'd' : 'l');
    client->connection = NULL;
}

static int set_connected(void *arg)
{
    const struct redis_client *client = arg;

    EXPECT_EQUAL(redisAsyncSetConnectCallback(client->connection, connected), REDIS_OK);
    return 0;
}

static int set_disconnected(void *arg)
{
    const struct redis_client *client = arg;

    EXPECT_EQUAL(redisAsyncSetDisconnectCallback(client->connection, disconnected), REDIS_OK);
    EXPECT_EQUAL(redisAsyncSetDisconnectCallback(client->connection, disconnected), REDIS_ERR);
    return 0;
}

static void init_with_hooks(struct redis_client *client)
{
    trace_clear();
    redis_client_init(client);
    EXPECT_EQUAL(weft_run_with("a", "of the connecting", set_connected, client), 0);
    EXPECT_EQUAL(weft_run_with("a", "of the disconnecting", set_disconnected, client), 0);
}

static void disconnect_on_reply(redisAsyncContext *connection, void *reply, void *arg)
{
    (void)reply;
    (void)arg;
    redisAsyncDisconnect(connection);
}

static int send_and_disconnect(void *arg)
{
    const struct redis_client *client = arg;

    EXPECT_EQUAL(redisAsyncCommand(client->connection, disconnect_on_reply, NULL, "PING"), REDIS_OK);
    return 0;
}

static void c50_a_connections_callbacks_run_in_the_contexts_that_set_them(void)
{
    struct redis_client client;
    long before = weft_contexts_alive();

    init_with_hooks(&client);
    EXPECT_EQUAL(weft_run_with("a", "of the command", send_and_disconnect, &client), 0);
    redis_client_run_to_the_end(&client);
    EXPECT_TEXT(trace, "cd");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void connect_failed(const redisAsyncContext *connection, int status)
{
    EXPECT_EQUAL(status, REDIS_ERR);
    connected(connection, status);
}

static int connect_to_nobody(void *arg)
{
    redisAsyncContext *connection = redisAsyncConnect("127.0.0.1", 1);

    assert_non_null(connection);
    assert_int_equal(redisLibeventAttach(connection, arg), REDIS_OK);
    EXPECT_EQUAL(redisAsyncSetConnectCallback(connection, connect_failed), REDIS_OK);
    EXPECT_EQUAL(redisAsyncSetDisconnectCallback(connection, disconnected), REDIS_OK); /* is never called */
    return 0;
}

static void c50_a_connection_that_fails_tells_so_in_its_context_and_holds_none(void)
{
    struct event_base *base = event_base_new();
    long before = weft_contexts_alive();

    trace_clear();
    EXPECT_EQUAL(weft_run_with("a", "of the connecting", connect_to_nobody, base), 0);
    EXPECT(event_base_dispatch(base) >= 0);
    EXPECT_TEXT(trace, "f");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    event_base_free(base);
}

static void c50_a_connection_that_is_freed_before_it_connects_holds_no_context(void)
{
    struct redis_client client;
    long before = weft_contexts_alive();

    init_with_hooks(&client);
    redisAsyncFree(client.connection);
    client.connection = NULL;
    EXPECT_TEXT(trace, "");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* ---- Reconnecting ---- */

struct replay {
    struct redis_client *client;
    const char *a;
    unsigned failures;
};

static int send_for_replay(void *arg);

/* As clients do: what was not answered is sent again, on a new connection. */
static void answered_or_sent_again(redisAsyncContext *connection, void *reply, void *arg)
{
    struct replay *replay = arg;

    EXPECT_TEXT(weft_get("a"), replay->a);
    if (reply) {
        redis_client_has_reply(replay->client);
        return;
    }
    replay->failures++;
    if (replay->client->connection == connection)
        replay->client->connection = redis_client_connect(replay->client->base);
    EXPECT_EQUAL(send_for_replay(replay), 0);
}

static int send_for_replay(void *arg)
{
    const struct replay *replay = arg;

    EXPECT_EQUAL(redisAsyncCommand(replay->client->connection, answered_or_sent_again, arg, "PING"), REDIS_OK);
    return 0;
}

/* The server ends the connection then, and has not read what comes after it. */
static int send_quit(void *arg)
{
    const struct redis_client *client = arg;

    EXPECT_EQUAL(redisAsyncCommand(client->connection, NULL, NULL, "QUIT"), REDIS_OK);
    return 0;
}

static void c50_commands_that_are_sent_again_keep_their_contexts(void)
{
    struct redis_client client;
    struct replay first = {&client, "1", 0}, second = {&client, "2", 0};
    long before = weft_contexts_alive();

    redis_client_init(&client);
    client.outstanding = 2;
    EXPECT_EQUAL(weft_run_with("a", "of the one that quits", send_quit, &client), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", send_for_replay, &first), 0);
    EXPECT_EQUAL(weft_run_with("a", "2", send_for_replay, &second), 0);
    redis_client_run(&client);
    EXPECT_EQUAL(first.failures, 1);
    EXPECT_EQUAL(second.failures, 1);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* ---- Who writes ---- */

static struct event *write_event;
static unsigned writes;

/* What hiredis schedules is its own, also where it is a job that makes it do so. */
static void write_at_the_root(evutil_socket_t fd, short what, void *connection)
{
    (void)fd;
    (void)what;
    struct weft_context *context = weft_capture();
    EXPECT(context == NULL);
    (void)weft_context_unref(context);
    writes++;
    redisAsyncHandleWrite(connection);
}

static void add_write(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(event_add(write_event, NULL), 0);
}

static void count_reply(redisAsyncContext *connection, void *reply, void *arg)
{
    struct redis_client *client = connection->data;

    (void)reply;
    EXPECT_TEXT(weft_get("a"), arg);
    redis_client_has_reply(client);
}

struct ping {
    struct redis_client *client;
    char *a;
};

static int send_ping(void *arg)
{
    const struct ping *ping = arg;

    ping->client->outstanding++;
    EXPECT_EQUAL(redisAsyncCommand(ping->client->connection, count_reply, ping->a, "PING"), REDIS_OK);
    return 0;
}

static void c49_commands_of_many_contexts_are_written_together_at_the_root(void)
{
    struct redis_client client;
    struct ping first = {&client, (char[]){"1"}}, second = {&client, (char[]){"2"}};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", send_ping, &first), 0);
    redis_client_run(&client); /* it is connected now */
    writes = 0;
    write_event = event_new(client.base, client.connection->c.fd, EV_WRITE, write_at_the_root, client.connection);
    client.connection->ev.addWrite = add_write;
    EXPECT_EQUAL(weft_run_with("a", "1", send_ping, &first), 0);
    EXPECT_EQUAL(weft_run_with("a", "2", send_ping, &second), 0);
    redis_client_run(&client);
    EXPECT_EQUAL(writes, 1);
    event_free(write_event);
    redis_client_done(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c50_a_connections_callbacks_run_in_the_contexts_that_set_them),
        CONFORMANCE_CASE(c50_a_connection_that_fails_tells_so_in_its_context_and_holds_none),
        CONFORMANCE_CASE(c50_a_connection_that_is_freed_before_it_connects_holds_no_context),
        CONFORMANCE_CASE(c50_commands_that_are_sent_again_keep_their_contexts),
        CONFORMANCE_CASE(c49_commands_of_many_contexts_are_written_together_at_the_root),
    };

    return cmocka_run_group_tests_name("redis_connection", tests, redis_client_group_setup,
                                       redis_client_group_teardown);
}
