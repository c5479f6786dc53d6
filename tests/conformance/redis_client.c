/* A Redis client in plain hiredis, as far as replies go: C45 and C47, and the first half of C50. */
#include "tests/support/redis_client.h"
#include "context/async/operation.h"
#include "context/propagate/hiredis/redis_library.h"
#include "tests/conformance/harness.h"

/* What a command is to be answered with, and in which context. */
struct wanted {
    struct redis_client *client;
    const char *a;
    const char *text; /* NULL: no reply */
};

static void expect_reply(redisAsyncContext *connection, void *answer, void *arg)
{
    const struct wanted *wanted = arg;
    const redisReply *reply = answer;

    EXPECT_TEXT(weft_get("a"), wanted->a);
    EXPECT_TEXT(reply ? reply->str : NULL, wanted->text);
    EXPECT(connection == wanted->client->connection);
    redis_client_has_reply(wanted->client);
}

static int send_echo(void *arg)
{
    const struct wanted *wanted = arg;

    wanted->client->outstanding++;
    EXPECT_EQUAL(redisAsyncCommand(wanted->client->connection, expect_reply, arg, "ECHO %s", wanted->text), REDIS_OK);
    return 0;
}

static int init_client(void *client)
{
    redis_client_init(client);
    return 0;
}

/* ---- C47: commands on one connection ---- */

static void c47_pipelined_commands_are_answered_each_in_its_own_context(void)
{
    static const char *const values[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    enum { COUNT = sizeof(values) / sizeof(*values) };
    struct redis_client client;
    struct wanted wanted[COUNT];
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "of the connection", init_client, &client), 0);
    for (size_t i = 0; i < COUNT; i++) {
        wanted[i] = (struct wanted){&client, values[i], values[i]};
        EXPECT_EQUAL(weft_run_with("a", values[i], send_echo, &wanted[i]), 0);
    }
    redis_client_run(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before); /* an idle connection holds none */
    redis_client_done(&client);
}

static int send_words(struct redis_client *client, void *arg, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int r = redisvAsyncCommand(client->connection, expect_reply, arg, format, args);
    va_end(args);
    return r;
}

static int send_in_each_form(void *arg)
{
    static const char *words[] = {"ECHO", "hello"};
    static const char formatted[] = "*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
    struct wanted *wanted = arg;
    redisAsyncContext *connection = wanted->client->connection;

    EXPECT_EQUAL(redisAsyncCommand(connection, expect_reply, arg, "ECHO hello"), REDIS_OK);
    EXPECT_EQUAL(send_words(wanted->client, arg, "%s %b", "ECHO", "hello", (size_t)5), REDIS_OK);
    EXPECT_EQUAL(redisAsyncCommandArgv(connection, expect_reply, arg, 2, words, NULL), REDIS_OK);
    EXPECT_EQUAL(redisAsyncFormattedCommand(connection, expect_reply, arg, formatted, sizeof(formatted) - 1), REDIS_OK);
    wanted->client->outstanding += 4;
    return 0;
}

static void c47_every_form_of_a_command_has_its_context(void)
{
    struct redis_client client;
    struct wanted wanted = {&client, "1", "hello"};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", send_in_each_form, &wanted), 0);
    redis_client_run(&client);
    redis_client_done(&client);
}

static void c45_a_command_of_the_root_on_a_jobs_connection_is_answered_at_the_root(void)
{
    struct redis_client client;
    struct wanted of_job = {&client, "1", "job"}, of_root = {&client, NULL, "root"};

    EXPECT_EQUAL(weft_run_with("a", "1", init_client, &client), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", send_echo, &of_job), 0);
    EXPECT_EQUAL(weft_exit(send_echo, &of_root), 0);
    redis_client_run(&client);
    redis_client_done(&client);
}

static int write_commands(void *client)
{
    redisAsyncHandleWrite(((struct redis_client *)client)->connection);
    return 0;
}

static int read_replies(void *client)
{
    redisAsyncHandleRead(((struct redis_client *)client)->connection);
    return 0;
}

/* As where a program has an event loop of its own kind. */
static void c45_so_is_one_whose_reply_happens_to_be_read_by_a_job(void)
{
    struct redis_client client;
    struct wanted of_root = {&client, NULL, "root"};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_exit(send_echo, &of_root), 0);
    while (client.outstanding > 0) {
        EXPECT_EQUAL(weft_run_with("a", "of the writer", write_commands, &client), 0);
        EXPECT_EQUAL(weft_run_with("a", "of the reader", read_replies, &client), 0);
    }
    redis_client_done(&client);
}

/* ---- C50: replies ---- */

static int send_transaction(void *arg)
{
    struct redis_client *client = ((struct wanted *)arg)->client;
    static struct wanted ok, queued, result;

    ok = (struct wanted){client, "of the job", "OK"};
    queued = (struct wanted){client, "of the job", "QUEUED"};
    result = (struct wanted){client, "of the job", NULL};
    client->outstanding += 4;
    EXPECT_EQUAL(redisAsyncCommand(client->connection, expect_reply, &ok, "MULTI"), REDIS_OK);
    EXPECT_EQUAL(redisAsyncCommand(client->connection, expect_reply, &queued, "SET key 1"), REDIS_OK);
    EXPECT_EQUAL(redisAsyncCommand(client->connection, expect_reply, &queued, "INCR key"), REDIS_OK);
    EXPECT_EQUAL(redisAsyncCommand(client->connection, expect_reply, &result, "EXEC"), REDIS_OK);
    return 0;
}

static void c50_a_transaction_is_answered_in_its_context(void)
{
    struct redis_client client;
    struct wanted wanted = {&client, "of another", "hello"};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "of the job", send_transaction, &wanted), 0);
    EXPECT_EQUAL(weft_run_with("a", "of another", send_echo, &wanted), 0);
    redis_client_run(&client);
    redis_client_done(&client);
}

static int send_as_set(void *arg)
{
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    return send_echo(arg);
}

static void send_another(redisAsyncContext *connection, void *reply, void *arg)
{
    (void)connection;
    (void)reply;
    struct redis_client *client = ((struct wanted *)arg)->client;

    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_run(send_as_set, arg), 0);
    EXPECT_TEXT(weft_get("a"), "1");
    EXPECT_EQUAL(weft_set("a", "of the callback"), 0); /* is undone at its end */
    redis_client_has_reply(client);
}

static int send_first(void *arg)
{
    struct redis_client *client = ((struct wanted *)arg)->client;

    client->outstanding++;
    EXPECT_EQUAL(redisAsyncCommand(client->connection, send_another, arg, "PING"), REDIS_OK);
    EXPECT_EQUAL(redisAsyncCommand(client->connection, NULL, NULL, "PING"), REDIS_OK); /* nobody waits for it */
    return 0;
}

static void c50_what_a_reply_sends_has_the_context_it_is_sent_in(void)
{
    struct redis_client client;
    struct wanted wanted = {&client, "2", "second"};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", send_first, &wanted), 0);
    redis_client_run(&client);
    redis_client_done(&client);
}

/* ---- C50: no reply ---- */

static void c50_commands_without_a_reply_are_told_so_in_their_own_contexts(void)
{
    struct redis_client client;
    struct wanted first = {&client, "1", NULL}, second = {&client, NULL, NULL};
    long before = weft_contexts_alive();

    redis_client_init(&client);
    client.outstanding = 1;
    first.text = "x";
    EXPECT_EQUAL(weft_run_with("a", "1", send_echo, &first), 0);
    second.text = "y";
    EXPECT_EQUAL(weft_exit(send_echo, &second), 0);
    first.text = second.text = NULL;
    redisAsyncFree(client.connection); /* in whatever context that happens to be */
    client.connection = NULL;
    EXPECT_EQUAL(client.outstanding, 1);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static int be_refused(void *arg)
{
    struct wanted *wanted = arg;
    redisAsyncContext *connection = wanted->client->connection;

    EXPECT_EQUAL(redisAsyncCommand(connection, expect_reply, arg, "PING"), REDIS_ERR);
    EXPECT_EQUAL(redisAsyncCommand(connection, expect_reply, arg, "SUBSCRIBE news"), REDIS_ERR);
    EXPECT_EQUAL(redisAsyncCommand(connection, expect_reply, arg, "MONITOR"), REDIS_ERR);
    EXPECT_EQUAL(redisAsyncCommand(connection, expect_reply, arg, "UNSUBSCRIBE news"), REDIS_ERR);
    return 0;
}

static void c50_a_command_that_is_refused_leaves_nothing_behind(void)
{
    struct redis_client client;
    struct wanted wanted = {&client, "1", "last"};
    long before = weft_contexts_alive();

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", send_echo, &wanted), 0);
    redisAsyncDisconnect(client.connection); /* when that has been answered */
    long with_one = weft_contexts_alive();
    EXPECT_EQUAL(weft_run_with("a", "2", be_refused, &wanted), 0);
    EXPECT_EQUAL(weft_contexts_alive(), with_one);
    redis_client_run_to_the_end(&client);
    client.connection = NULL;
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* ---- In words ---- */

static int find_words(const struct operation *operation, void *words)
{
    char description[OPERATION_DESCRIPTION_SIZE];

    operation_describe(operation, description);
    return strcmp(description, words) == 0;
}

static void c50_a_command_that_waits_can_be_seen(void)
{
    struct redis_client client;
    struct wanted wanted = {&client, "1", "hello"};

    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", send_echo, &wanted), 0);
    EXPECT_EQUAL(operation_each(find_words, (char[]){"redis ECHO"}), 1);
    redis_client_run(&client);
    EXPECT_EQUAL(operation_each(find_words, (char[]){"redis ECHO"}), 0);
    redis_client_done(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c47_pipelined_commands_are_answered_each_in_its_own_context),
        CONFORMANCE_CASE(c47_every_form_of_a_command_has_its_context),
        CONFORMANCE_CASE(c45_a_command_of_the_root_on_a_jobs_connection_is_answered_at_the_root),
        CONFORMANCE_CASE(c45_so_is_one_whose_reply_happens_to_be_read_by_a_job),
        CONFORMANCE_CASE(c50_a_transaction_is_answered_in_its_context),
        CONFORMANCE_CASE(c50_what_a_reply_sends_has_the_context_it_is_sent_in),
        CONFORMANCE_CASE(c50_commands_without_a_reply_are_told_so_in_their_own_contexts),
        CONFORMANCE_CASE(c50_a_command_that_is_refused_leaves_nothing_behind),
        CONFORMANCE_CASE(c50_a_command_that_waits_can_be_seen),
    };

    return cmocka_run_group_tests_name("redis_client", tests, redis_client_group_setup, redis_client_group_teardown);
}
