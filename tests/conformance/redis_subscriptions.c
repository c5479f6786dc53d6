/* A Redis client in plain hiredis that subscribes: the third part of C50. */
#include "tests/conformance/harness.h"
#include "tests/support/redis_client.h"
#include "tests/support/trace.h"

/* A subscriber's callback is called for each reply and message; `a` is the subscriber's. */
struct subscriber {
    struct redis_client *client;
    const char *command;
    const char *a;
    char letter;       /* what it traces for a message */
    unsigned messages; /* after how many it stops the loop */
};

static void heard(redisAsyncContext *connection, void *answer, void *arg)
{
    struct subscriber *subscriber = arg;
    const redisReply *reply = answer;

    (void)connection;
    EXPECT_TEXT(weft_get("a"), subscriber->a);
    if (!reply) {
        trace_add('0');
        return;
    }
    const char *kind = reply->element[0]->str;
    trace_add(strstr(kind, "message") ? subscriber->letter : strstr(kind, "un") ? '-' : '+');
    if (strstr(kind, "message") && --subscriber->messages == 0)
        (void)event_base_loopbreak(subscriber->client->base);
    if (strstr(kind, "un"))
        (void)event_base_loopbreak(subscriber->client->base);
    if (subscriber->a)
        EXPECT_EQUAL(weft_set("a", "of the callback"), 0); /* is undone at its end */
}

static int subscribe(void *arg)
{
    const struct subscriber *subscriber = arg;

    EXPECT_EQUAL(redisAsyncCommand(subscriber->client->connection, heard, arg, subscriber->command), REDIS_OK);
    return 0;
}

static void subscribe_as(struct subscriber *subscriber)
{
    EXPECT_EQUAL(weft_run_with("a", subscriber->a, subscribe, subscriber), 0);
}

static void ignored(redisAsyncContext *connection, void *reply, void *arg)
{
    (void)connection;
    (void)reply;
    (void)arg;
    EXPECT_NOT_REACHED();
}

static int send_ignored(void *arg)
{
    const struct subscriber *subscriber = arg;

    return redisAsyncCommand(subscriber->client->connection, ignored, NULL, subscriber->command);
}

/* As another job. hiredis never calls the callback of an UNSUBSCRIBE. */
static void unsubscribe(struct redis_client *client, const char *command)
{
    struct subscriber request = {.client = client, .command = command};

    EXPECT_EQUAL(weft_run_with("a", "of another", send_ignored, &request), REDIS_OK);
}

static void run(const struct redis_client *client)
{
    EXPECT(event_base_dispatch(client->base) >= 0);
}

static void publish(const char *channel, const char *receivers)
{
    EXPECT_TEXT(redis_server_ask(&redis_client_server, "PUBLISH %s hello", channel), receivers);
}

/* Until the subscription is known to the server. */
static void run_until_subscribed(const struct redis_client *client, const char *channel)
{
    while (!strstr(redis_server_ask(&redis_client_server, "PUBSUB NUMSUB %s", channel), " 1]"))
        EXPECT(event_base_loop(client->base, EVLOOP_ONCE) >= 0);
}

static void c50_messages_are_heard_in_the_subscribers_context(void)
{
    struct redis_client client;
    struct subscriber news = {&client, "SUBSCRIBE news", "1", 'n', 2}, sport = {&client, "SUBSCRIBE sport", "2", 's', 1};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&news);
    subscribe_as(&sport);
    run_until_subscribed(&client, "sport");
    publish("news", "1");
    publish("sport", "1");
    publish("news", "1");
    run(&client);
    run(&client);
    unsubscribe(&client, "UNSUBSCRIBE news");
    run(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1); /* that of the other subscriber */
    redisAsyncFree(client.connection);
    client.connection = NULL;
    EXPECT_TEXT(trace, "++nsn-0");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void c50_one_subscription_to_many_lasts_until_the_last_has_ended(void)
{
    struct redis_client client;
    struct subscriber subscriber = {&client, "PSUBSCRIBE n* s*", "1", 'm', 1};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&subscriber);
    while (trace_size < 2)
        EXPECT(event_base_loop(client.base, EVLOOP_ONCE) >= 0);
    unsubscribe(&client, "PUNSUBSCRIBE n*");
    run(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    publish("sport", "1");
    run(&client);
    unsubscribe(&client, "PUNSUBSCRIBE");
    run(&client);
    EXPECT_TEXT(trace, "++-m-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void c50_a_later_subscription_takes_the_place_of_an_earlier_one(void)
{
    struct redis_client client;
    struct subscriber first = {&client, "SUBSCRIBE news", "1", '1', 1}, second = {&client, "SUBSCRIBE news", "2", '2', 1};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&first);
    run_until_subscribed(&client, "news");
    publish("news", "1");
    run(&client);
    subscribe_as(&second);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1); /* the first is never called again */
    publish("news", "1");
    run(&client);
    unsubscribe(&client, "UNSUBSCRIBE");
    run(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_EQUAL(strlen(trace), 5); /* the second one's confirmation may come before the message or after it */
    redis_client_done(&client);
}

/* Of two subscriptions that were sent before the first is confirmed, an unsubscription between them ends neither. */
static void c50_subscriptions_in_a_row_keep_the_last_ones_context(void)
{
    struct redis_client client;
    struct subscriber at_root = {&client, "SUBSCRIBE news", NULL, '0', 1}, last = {&client, "SUBSCRIBE news", "2", '2', 1};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_exit(subscribe, &at_root), 0);
    unsubscribe(&client, "UNSUBSCRIBE news");
    subscribe_as(&last);
    while (trace_size < 3)
        EXPECT(event_base_loop(client.base, EVLOOP_ONCE) >= 0);
    publish("news", "1");
    run(&client);
    unsubscribe(&client, "UNSUBSCRIBE news");
    run(&client);
    EXPECT_TEXT(trace, "+-+2-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void note_only(redisAsyncContext *connection, void *reply, void *arg)
{
    const struct redis_client *client = connection->data;

    (void)reply;
    (void)arg;
    trace_add('.');
    if (trace_size >= 3) /* two subscriptions, one that has ended */
        (void)event_base_loopbreak(client->base);
}

static int subscribe_to_note(void *client)
{
    return redisAsyncCommand(((struct redis_client *)client)->connection, note_only, NULL, "SUBSCRIBE news sport");
}

/* hiredis 0.14 takes the reply to the second one for the first one's, and calls the callback that it has forgotten. */
static void c50_unsubscribing_twice_does_no_harm(void)
{
    struct redis_client client;
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", subscribe_to_note, &client), REDIS_OK);
    unsubscribe(&client, "UNSUBSCRIBE news");
    unsubscribe(&client, "UNSUBSCRIBE news");
    run(&client);
    EXPECT(trace_size >= 3);
    redis_client_done(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static int subscribe_in_callback(void *arg)
{
    return subscribe(arg);
}

/* In the context of the message, which is what the new subscription has. */
static void subscribe_again(redisAsyncContext *connection, void *reply, void *arg)
{
    struct subscriber *subscriber = arg;

    (void)connection;
    EXPECT_TEXT(weft_get("a"), "1");
    if (reply && subscriber->messages++ == 0)
        EXPECT_EQUAL(weft_run(subscribe_in_callback, arg), 0);
}

static int subscribe_to_subscribe(void *arg)
{
    const struct subscriber *subscriber = arg;

    return redisAsyncCommand(subscriber->client->connection, subscribe_again, arg, subscriber->command);
}

static void c50_a_subscription_may_replace_itself(void)
{
    struct redis_client client;
    struct subscriber subscriber = {&client, "SUBSCRIBE news", "1", 'm', 0};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", subscribe_to_subscribe, &subscriber), REDIS_OK);
    while (trace_size < 1)
        EXPECT(event_base_loop(client.base, EVLOOP_ONCE) >= 0);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    unsubscribe(&client, "UNSUBSCRIBE");
    run(&client);
    EXPECT_TEXT(trace, "+-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* ---- MONITOR ---- */

static void monitored(redisAsyncContext *connection, void *answer, void *arg)
{
    const redisReply *reply = answer;
    struct redis_client *client = arg;

    (void)connection;
    EXPECT_TEXT(weft_get("a"), "1");
    trace_add(!reply ? '0' : strstr(reply->str, "hello") ? 'h' : 'm');
    if (!reply || strstr(reply->str, "hello"))
        (void)event_base_loopbreak(client->base);
}

static int monitor(void *client)
{
    return redisAsyncCommand(((struct redis_client *)client)->connection, monitored, client, "MONITOR");
}

static void c50_a_monitor_sees_in_its_context_until_its_connection_ends(void)
{
    struct redis_client client;
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", monitor, &client), REDIS_OK);
    while (trace_size < 1)
        EXPECT(event_base_loop(client.base, EVLOOP_ONCE) >= 0);
    (void)redis_server_ask(&redis_client_server, "ECHO hello");
    run(&client);
    (void)redis_server_ask(&redis_client_server, "ECHO hello");
    run(&client);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    redisAsyncFree(client.connection);
    client.connection = NULL;
    EXPECT_TEXT(trace, "mhh0");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c50_messages_are_heard_in_the_subscribers_context),
        CONFORMANCE_CASE(c50_one_subscription_to_many_lasts_until_the_last_has_ended),
        CONFORMANCE_CASE(c50_a_later_subscription_takes_the_place_of_an_earlier_one),
        CONFORMANCE_CASE(c50_subscriptions_in_a_row_keep_the_last_ones_context),
        CONFORMANCE_CASE(c50_unsubscribing_twice_does_no_harm),
        CONFORMANCE_CASE(c50_a_subscription_may_replace_itself),
        CONFORMANCE_CASE(c50_a_monitor_sees_in_its_context_until_its_connection_ends),
    };

    return cmocka_run_group_tests_name("redis_subscriptions", tests, redis_client_group_setup,
                                       redis_client_group_teardown);
}
