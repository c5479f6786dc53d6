/* A Redis client in plain hiredis that subscribes: the third part of C50. */
#include "tests/conformance/harness.h"
#include "tests/support/redis_client.h"
#include "tests/support/trace.h"

/* A subscriber's callback is called for each reply and message; `a` is the subscriber's. */
struct subscriber {
    struct redis_client *client;
    const char *command;
    const char *a;
    char letter;    /* what it traces for a message */
    bool has_again; /* it has subscribed once more */
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

/* Until so much has been heard. */
static void run_until(const struct redis_client *client, size_t traced)
{
    while (trace_size < traced)
        EXPECT(event_base_loop(client->base, EVLOOP_ONCE) >= 0);
}

static void publish(const char *channel, const char *receivers)
{
    EXPECT_TEXT(redis_server_ask(&redis_client_server, "PUBLISH %s hello", channel), receivers);
}

static void c50_messages_are_heard_in_the_subscribers_context(void)
{
    struct redis_client client;
    struct subscriber news = {&client, "SUBSCRIBE news", "1", 'n', false},
                      sport = {&client, "SUBSCRIBE sport", "2", 's', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&news);
    subscribe_as(&sport);
    run_until(&client, 2);
    publish("news", "1");
    publish("sport", "1");
    publish("news", "1");
    run_until(&client, 5);
    unsubscribe(&client, "UNSUBSCRIBE news");
    run_until(&client, 6);
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
    struct subscriber subscriber = {&client, "PSUBSCRIBE n* s*", "1", 'm', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&subscriber);
    run_until(&client, 2);
    unsubscribe(&client, "PUNSUBSCRIBE n*");
    run_until(&client, 3);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    publish("sport", "1");
    run_until(&client, 4);
    unsubscribe(&client, "PUNSUBSCRIBE");
    run_until(&client, 5);
    EXPECT_TEXT(trace, "++-m-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void c50_a_later_subscription_takes_the_place_of_an_earlier_one(void)
{
    struct redis_client client;
    struct subscriber first = {&client, "SUBSCRIBE news", "1", '1', false},
                      second = {&client, "SUBSCRIBE news", "2", '2', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&first);
    run_until(&client, 1);
    publish("news", "1");
    run_until(&client, 2);
    subscribe_as(&second);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1); /* the first is never called again */
    run_until(&client, 3);
    publish("news", "1");
    run_until(&client, 4);
    unsubscribe(&client, "UNSUBSCRIBE");
    run_until(&client, 5);
    EXPECT_TEXT(trace, "+1+2-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* Of two subscriptions that were sent before the first is confirmed, an unsubscription between them ends neither. */
static void c50_subscriptions_in_a_row_keep_the_last_ones_context(void)
{
    struct redis_client client;
    struct subscriber at_root = {&client, "SUBSCRIBE news", NULL, '0', false},
                      last = {&client, "SUBSCRIBE news", "2", '2', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_exit(subscribe, &at_root), 0);
    unsubscribe(&client, "UNSUBSCRIBE news");
    subscribe_as(&last);
    run_until(&client, 3);
    publish("news", "1");
    run_until(&client, 4);
    unsubscribe(&client, "UNSUBSCRIBE news");
    run_until(&client, 5);
    EXPECT_TEXT(trace, "+-+2-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

static void note_only(redisAsyncContext *connection, void *reply, void *arg)
{
    (void)connection;
    (void)reply;
    (void)arg;
    trace_add('.');
}

static int subscribe_to_note(void *client)
{
    return redisAsyncCommand(((struct redis_client *)client)->connection, note_only, NULL, "SUBSCRIBE news");
}

/* hiredis 0.14 takes the reply to the second one for the first one's, and calls the callback that it has forgotten. */
static void c50_unsubscribing_twice_does_no_harm(void)
{
    struct redis_client client;
    struct subscriber sport = {&client, "SUBSCRIBE sport", "2", 's', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    subscribe_as(&sport);
    EXPECT_EQUAL(weft_run_with("a", "1", subscribe_to_note, &client), REDIS_OK);
    unsubscribe(&client, "UNSUBSCRIBE news");
    unsubscribe(&client, "UNSUBSCRIBE news");
    run_until(&client, 3);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
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
    if (reply && !subscriber->has_again) {
        subscriber->has_again = true;
        EXPECT_EQUAL(weft_run(subscribe_in_callback, arg), 0);
    }
}

static int subscribe_to_subscribe(void *arg)
{
    const struct subscriber *subscriber = arg;

    return redisAsyncCommand(subscriber->client->connection, subscribe_again, arg, subscriber->command);
}

static void c50_a_subscription_may_replace_itself(void)
{
    struct redis_client client;
    struct subscriber subscriber = {&client, "SUBSCRIBE news", "1", 'm', false};
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", subscribe_to_subscribe, &subscriber), REDIS_OK);
    run_until(&client, 1);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    unsubscribe(&client, "UNSUBSCRIBE");
    run_until(&client, 2);
    EXPECT_TEXT(trace, "+-");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&client);
}

/* ---- MONITOR ---- */

static void monitored(redisAsyncContext *connection, void *answer, void *arg)
{
    const redisReply *reply = answer;

    (void)connection;
    (void)arg;
    EXPECT_TEXT(weft_get("a"), "1");
    trace_add(!reply ? '0' : strstr(reply->str, "hello") ? 'h' : 'm');
}

static int monitor(void *client)
{
    return redisAsyncCommand(((struct redis_client *)client)->connection, monitored, NULL, "MONITOR");
}

static void c50_a_monitor_sees_in_its_context_until_its_connection_ends(void)
{
    struct redis_client client;
    long before = weft_contexts_alive();

    trace_clear();
    redis_client_init(&client);
    EXPECT_EQUAL(weft_run_with("a", "1", monitor, &client), REDIS_OK);
    run_until(&client, 1);
    (void)redis_server_ask(&redis_client_server, "ECHO hello");
    run_until(&client, 2);
    (void)redis_server_ask(&redis_client_server, "ECHO hello");
    run_until(&client, 3);
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
