/* What a watchdog is told: that a client moves, unless it could read and does not. */
#include "queue/consumer/fetch.h"
#include "tests/unit/lease_support.h"

/* Whether the client reads is asked again and again, as a watchdog does. */
static bool moves(struct queues *queues, int64_t ms)
{
    bool moving = true;

    for (int64_t start = queues_now_ms(); moving && queues_now_ms() - start < ms;) {
        moving = queue_client_is_moving(queues->client);
        queues_run(queues, 100);
    }
    return moving;
}

static void client_is_moving_whether_it_has_room_or_not(void **state)
{
    enum { LONG_ENOUGH_MS = 5500 };
    struct queues *queues = leases_begin(state, "worker1");

    assert_true(moves(queues, LONG_ENOUGH_MS));
    queue_client_set_capacity(queues->client, 5);
    assert_true(moves(queues, LONG_ENOUGH_MS));
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "SET weft:{q} x");
    assert_true(moves(queues, LONG_ENOUGH_MS));
    queue_client_stop(queues->client);
    assert_true(moves(queues, 0));
    queues_tear_down(queues);
}

static void ignore_wake(void *user)
{
    (void)user;
}

static void start_stuck_fetch(void *user)
{
    fetch_start(*(struct fetch **)user);
}

/* Its owner never lets it go on. */
static void fetch_that_could_read_and_does_not_is_not_moving(void **state)
{
    static const struct connection_events events = {start_stuck_fetch, ignore_wake};
    struct queues *queues = queues_begin(state, 1);
    struct entry_set held = {0};
    struct health health;
    struct fetch_target target = {.held = &held, .wake = ignore_wake};
    struct queue_keys *keys;
    struct connection *connection;
    struct fetch *fetch;

    health_init(&health, &queues->options, queues_note_problem, queues);
    assert_int_equal(queue_keys_new_all(&queues->options, &keys), 0);
    assert_int_equal(connection_new(queues->base, &queues->options, "test", &health, &events, &fetch, &connection), 0);
    assert_int_equal(fetch_new(&(struct queue_link){.base = queues->base,
                                                    .connection = connection,
                                                    .options = &queues->options,
                                                    .keys = keys,
                                                    .consumer = "worker1",
                                                    .health = &health},
                               &target, &fetch),
                     0);
    fetch_set_capacity(fetch, 1);
    WAIT_UNTIL(queues, !fetch_is_moving(fetch, true));
    assert_true(fetch_is_moving(fetch, false));
    assert_true(fetch_is_moving(fetch, true));
    connection_free(connection);
    fetch_free(fetch);
    queue_keys_free_all(keys, 1);
    entry_set_done(&held);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_is_moving_whether_it_has_room_or_not),
        cmocka_unit_test(fetch_that_could_read_and_does_not_is_not_moving),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
