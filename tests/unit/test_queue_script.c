/* A script that Redis does not know is called once more, with its source, without the caller hearing of it. */
#include "context/container.h"
#include "queue/redis/call.h"
#include "tests/unit/lease_support.h"

struct caller {
    struct call call;
    struct queue_keys *keys;
    struct command command;
    bool up;
    int answers;
    long long answer;
};

static void note_up(void *user)
{
    ((struct caller *)user)->up = true;
}

static void ignore_down(void *user)
{
    (void)user;
}

static int write_erase(struct call *call)
{
    struct caller *caller = container_of(call, struct caller, call);
    struct command *command = call_start(call, QUEUE_KEY_COUNT);

    command_add_queue(command, &caller->keys[0]);
    command_add_text(command, "1-1");
    return 0;
}

static void note_answer(struct call *call, const redisReply *reply)
{
    struct caller *caller = container_of(call, struct caller, call);

    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    caller->answers++;
    caller->answer = reply->integer;
}

static const struct call_kind erase_call = {.script = &queue_script_erase, .write = write_erase, .done = note_answer};
static const struct call_kind seldom_call = {
    .script = &queue_script_erase, .seldom = true, .write = write_erase, .done = note_answer};

static long long calls_of(struct queues *queues, const char *command)
{
    char field[64];
    const char *line;

    (void)snprintf(field, sizeof(field), "cmdstat_%s:calls=", command);
    line = strstr(redis_server_ask(&queues->server, "INFO commandstats"), field);
    return line ? strtoll(strchr(line, '=') + 1, NULL, 10) : 0;
}

static void call_and_wait(struct queues *queues, struct connection *connection, struct caller *caller,
                          const struct call_kind *kind)
{
    int before = caller->answers;

    assert_int_equal(call_send(&caller->call, kind, connection, &caller->command), 0);
    WAIT_UNTIL(queues, caller->answers == before + 1);
    assert_int_equal(caller->answer, 0);
}

static void assert_calls(struct queues *queues, long long by_digest, long long by_source)
{
    assert_int_equal(calls_of(queues, "evalsha"), by_digest);
    assert_int_equal(calls_of(queues, "eval"), by_source);
}

static void script_that_redis_does_not_know_is_sent_once_more_with_its_source(void **state)
{
    static const struct connection_events events = {note_up, ignore_down};
    struct queues *queues = queues_begin(state, 1);
    struct caller caller = {0};
    struct health health;
    struct connection *connection;

    health_init(&health, &queues->options, queues_note_problem, queues);
    assert_int_equal(queue_keys_new_all(&queues->options, &caller.keys), 0);
    assert_int_equal(connection_new(queues->base, &queues->options, "test", &health, &events, &caller, &connection), 0);
    assert_int_equal(call_send(&caller.call, &erase_call, connection, &caller.command), -ENOTCONN);
    WAIT_UNTIL(queues, caller.up);

    redis_server_ask(&queues->server, "SCRIPT FLUSH");
    redis_server_ask(&queues->server, "CONFIG RESETSTAT");
    call_and_wait(queues, connection, &caller, &erase_call);
    assert_calls(queues, 1, 1);
    call_and_wait(queues, connection, &caller, &erase_call);
    assert_calls(queues, 2, 1);
    redis_server_ask(&queues->server, "SCRIPT FLUSH");
    call_and_wait(queues, connection, &caller, &erase_call);
    assert_calls(queues, 3, 2);
    call_and_wait(queues, connection, &caller, &seldom_call);
    assert_calls(queues, 3, 3);

    connection_free(connection);
    command_done(&caller.command);
    queue_keys_free_all(caller.keys, 1);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(script_that_redis_does_not_know_is_sent_once_more_with_its_source),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
