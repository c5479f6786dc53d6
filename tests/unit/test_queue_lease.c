/* A worker that lives keeps what it holds, whatever it waits for and whatever Redis does meanwhile. */
#include "queue/fetch.h"
#include "tests/unit/consumer_support.h"

enum { LEASE_MS = 2000 };

/* Two jobs, and no room for a third: the client reads nothing any more. */
static struct queues *begin(void **state, const char *consumer)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.lease_ms = LEASE_MS;
    queues->consumer = consumer;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j1");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j2");
    queues_start_client(queues, 2);
    queues_wait_for_jobs(queues, 2);
    queues_start_keeper(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    return queues;
}

/* Long enough for a worker that gives no sign of life to be taken for dead, by two looks after its lease. */
static void run_past_the_lease(struct queues *queues)
{
    queues_run(queues, 3 * LEASE_MS);
}

static void expect_kept(struct queues *queues)
{
    assert_int_equal(queues->reclaims, 0);
    assert_int_equal(queues->lost_count, 0);
    assert_int_equal(queues->job_count, 2);
    assert_int_equal(consumers_held(queues, queues->consumer), 2);
}

static void lease_of_a_worker_that_only_waits_is_renewed(void **state)
{
    struct queues *queues = begin(state, consumers_name_elsewhere());

    run_past_the_lease(queues);
    expect_kept(queues);
    queues_tear_down(queues);
}

static void lease_of_a_worker_that_is_gone_is_not_renewed(void **state)
{
    struct queues *queues = begin(state, consumers_name_elsewhere());

    queues->client = queue_client_free(queues->client);
    WAIT_UNTIL(queues, queues->reclaims == 1);
    assert_int_equal(queues->reason, RECLAIM_EXPIRED);
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 2);
    queues_tear_down(queues);
}

static void worker_that_drains_without_its_supervisor_keeps_its_jobs(void **state)
{
    pid_t supervisor = consumers_start_process();
    const char *consumer = consumers_name(1, supervisor, getpid());
    struct queues *queues;

    consumers_end_process(supervisor);
    queues = begin(state, consumer);
    queue_client_stop(queues->client);
    run_past_the_lease(queues);
    expect_kept(queues);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(redis_server_count(&queues->server, "LLEN weft:{q}:done"), 2);
    assert_int_equal(queues->reclaims, 0);
    queues_tear_down(queues);
}

static void stopped_worker_leaves_no_consumer(void **state)
{
    struct queues *queues = begin(state, consumers_name_elsewhere());

    queue_client_stop(queues->client);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    queues->keeper = queue_keeper_free(queues->keeper);
    queues_run(queues, LEASE_MS);
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    queues_tear_down(queues);
}

static void redis_that_stood_still_costs_nobody_a_lease(void **state)
{
    struct queues *queues = begin(state, consumers_name_elsewhere());

    assert_int_equal(kill(queues->server.pid, SIGSTOP), 0);
    run_past_the_lease(queues);
    assert_int_equal(kill(queues->server.pid, SIGCONT), 0);
    run_past_the_lease(queues);
    expect_kept(queues);
    queues_tear_down(queues);
}

static void redis_that_was_away_costs_nobody_a_lease(void **state)
{
    struct queues *queues = calloc(1, sizeof(*queues));
    void *own_state = queues;

    (void)state;
    queues->server.durable = true;
    redis_server_start(&queues->server);
    queues = begin(&own_state, consumers_name_elsewhere());
    redis_server_kill(&queues->server);
    run_past_the_lease(queues);
    redis_server_up(&queues->server);
    run_past_the_lease(queues);
    assert_string_equal(queues->problems[queues->problem_count - 1], "");
    expect_kept(queues);
    queues_tear_down(queues);
    redis_server_stop(&queues->server);
    free(queues);
}

static void worker_survives_a_redis_that_was_emptied(void **state)
{
    struct queues *queues = begin(state, consumers_name_elsewhere());

    redis_server_ask(&queues->server, "FLUSHALL");
    run_past_the_lease(queues);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j3");
    queues_wait_for_jobs(queues, 3);
    assert_string_equal(queues->jobs[2]->id, "j3");
    run_past_the_lease(queues);
    assert_int_equal(queues->reclaims, 0);
    assert_int_equal(consumers_held(queues, queues->consumer), 1);
    queues_tear_down(queues);
}

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
    enum { LONG_ENOUGH_MS = 6000 };
    struct queues *queues = begin(state, "worker1");

    assert_true(moves(queues, LONG_ENOUGH_MS));
    queue_client_add_room(queues->client, 5);
    assert_true(moves(queues, LONG_ENOUGH_MS));
    redis_server_ask(&queues->server, "DEL weft:{q}");
    redis_server_ask(&queues->server, "SET weft:{q} x");
    assert_true(moves(queues, LONG_ENOUGH_MS));
    queue_client_stop(queues->client);
    assert_true(moves(queues, LONG_ENOUGH_MS));
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
    static const struct redis_events events = {start_stuck_fetch, ignore_wake};
    struct queues *queues = queues_begin(state, 1);
    struct fetch_target target = {.wake = ignore_wake};
    struct trouble trouble;
    struct queue_keys *keys;
    struct redis *redis;
    struct fetch *fetch;

    trouble_init(&trouble, &queues->options, queues_note_problem, queues);
    target.trouble = &trouble;
    assert_int_equal(queue_keys_new_all(&queues->options, &keys), 0);
    assert_int_equal(redis_new(queues->base, &queues->options, "test", &trouble, &events, &fetch, &redis), 0);
    assert_int_equal(fetch_new(queues->base, redis, &queues->options, keys, "worker1", &target, &fetch), 0);
    fetch_add_room(fetch, 1);
    WAIT_UNTIL(queues, !fetch_is_moving(fetch, true));
    assert_true(fetch_is_moving(fetch, false));
    assert_true(fetch_is_moving(fetch, true));
    redis_free(redis);
    fetch_free(fetch);
    queue_keys_free_all(keys, 1);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_of_a_worker_that_only_waits_is_renewed),
        cmocka_unit_test(lease_of_a_worker_that_is_gone_is_not_renewed),
        cmocka_unit_test(worker_that_drains_without_its_supervisor_keeps_its_jobs),
        cmocka_unit_test(stopped_worker_leaves_no_consumer),
        cmocka_unit_test(redis_that_stood_still_costs_nobody_a_lease),
        cmocka_unit_test(redis_that_was_away_costs_nobody_a_lease),
        cmocka_unit_test(worker_survives_a_redis_that_was_emptied),
        cmocka_unit_test(client_is_moving_whether_it_has_room_or_not),
        cmocka_unit_test(fetch_that_could_read_and_does_not_is_not_moving),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
