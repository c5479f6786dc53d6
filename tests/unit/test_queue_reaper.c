/* Consumers that are dead are found and their jobs given back: at once on the same host, else after their lease. */
#include "queue/lease.h"
#include "queue/scripts/scripts.h"
#include "tests/unit/consumer_support.h"

#define HOUR_MS 3600000

static const char *const two_jobs[] = {"j1", "j2", NULL};

static struct queues *begin(void **state, int64_t lease_ms)
{
    struct queues *queues = queues_begin(state, 1);

    queues->options.lease_ms = lease_ms;
    return queues;
}

static void expect_reclaimed(struct queues *queues, const char *consumer, long count, enum reclaim_reason reason)
{
    char expected[256];

    (void)snprintf(expected, sizeof(expected), "q %s %ld", consumer, count);
    WAIT_UNTIL(queues, queues->reclaims > 0);
    assert_string_equal(queues->reclaimed, expected);
    assert_int_equal(queues->reason, reason);
    assert_false(consumers_has(queues, consumer));
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), count);
}

/* How often the maintenance has looked at the queues: by what Redis has answered. */
static long long looks(struct queues *queues)
{
    const char *line = strstr(redis_server_ask(&queues->server, "INFO commandstats"), "cmdstat_xinfo|consumers:calls=");

    return line ? strtoll(strchr(line, '=') + 1, NULL, 10) : 0;
}

static void wait_for_looks(struct queues *queues, long long count)
{
    long long before = looks(queues);

    WAIT_UNTIL(queues, looks(queues) >= before + count);
}

static void consumer_of_a_lost_host_is_reclaimed_after_its_lease(void **state)
{
    struct queues *queues = begin(state, 2000);
    const char *consumer = consumers_name_elsewhere();

    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    expect_reclaimed(queues, consumer, 2, RECLAIM_EXPIRED);
    queues_tear_down(queues);
}

static long long scripts_run(struct queues *queues)
{
    const char *line = strstr(redis_server_ask(&queues->server, "INFO commandstats"), "cmdstat_evalsha:calls=");

    return line ? strtoll(strchr(line, '=') + 1, NULL, 10) : 0;
}

static void consumer_whose_lease_seems_to_be_over_once_is_waited_for(void **state)
{
    struct queues *queues = begin(state, 2000);
    const char *consumer = consumers_name_elsewhere();
    long long before;

    consumers_give(queues, consumer, two_jobs);
    redis_server_sleep_ms(1600);
    queues_start_maintenance(queues);
    wait_for_looks(queues, 1);
    before = scripts_run(queues);
    WAIT_UNTIL(queues, scripts_run(queues) >= before + 3);
    assert_int_equal(consumers_held(queues, consumer), 2);
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft %s STREAMS weft:{q} 9", consumer);
    wait_for_looks(queues, 2);
    assert_int_equal(queues->reclaims, 0);
    queues_tear_down(queues);
}

static void consumer_of_a_dead_process_on_this_host_is_reclaimed_at_once(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    const char *consumer = consumers_name_dead(1);

    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    expect_reclaimed(queues, consumer, 2, RECLAIM_DEAD);
    queues_tear_down(queues);
}

static void consumer_that_dies_later_is_found_too(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    pid_t process = consumers_start_process();
    const char *consumer = consumers_name(1, process, process);

    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    wait_for_looks(queues, 2);
    assert_int_equal(consumers_held(queues, consumer), 2);
    consumers_end_process(process);
    expect_reclaimed(queues, consumer, 2, RECLAIM_DEAD);
    queues_tear_down(queues);
}

static void consumer_of_a_living_supervisor_is_left_to_it(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    pid_t worker = consumers_start_process();
    const char *consumer = consumers_name(1, getpid(), worker);

    consumers_give(queues, consumer, two_jobs);
    consumers_end_process(worker);
    queues_start_maintenance(queues);
    wait_for_looks(queues, 2);
    assert_int_equal(consumers_held(queues, consumer), 2);
    assert_int_equal(maintenance_reclaim(queues->maintenance, consumer), 0);
    expect_reclaimed(queues, consumer, 2, RECLAIM_ASKED);
    queues_tear_down(queues);
}

static void process_that_stands_still_for_longer_than_its_lease_is_reclaimed(void **state)
{
    struct queues *queues = begin(state, 2000);
    const char *consumer = consumers_name(1, getpid(), getpid());

    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    expect_reclaimed(queues, consumer, 2, RECLAIM_EXPIRED);
    queues_tear_down(queues);
}

static void redis_of_our_own_needs_no_lease(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    const char *consumer = consumers_name_elsewhere();
    const char *alive = consumers_name(1, getpid(), getpid());

    queues->options.exclusive = true;
    consumers_give(queues, alive, (const char *const[]){"j0", NULL});
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j1");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft %s STREAMS weft:{q} >", consumer);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->reclaims > 0);
    assert_non_null(strstr(queues->reclaimed, consumer));
    assert_int_equal(queues->reason, RECLAIM_DEAD);
    wait_for_looks(queues, 2);
    assert_int_equal(consumers_held(queues, alive), 1);
    assert_int_equal(queues->reclaims, 1);
    queues_tear_down(queues);
}

static void dead_consumers_that_hold_nothing_are_deleted(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    const char *alive = consumers_name(1, getpid(), getpid());

    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    redis_server_ask(&queues->server, "XGROUP CREATECONSUMER weft:{q} weft %s", alive);
    for (uint64_t nonce = 2; nonce < 7; nonce++)
        redis_server_ask(&queues->server, "XGROUP CREATECONSUMER weft:{q} weft %s", consumers_name_dead(nonce));
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "XINFO GROUPS weft:{q}"), "consumers 1 ") != NULL);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_true(consumers_has(queues, alive));
    assert_int_equal(queues->reclaims, 0);
    queues_tear_down(queues);
}

static void consumer_that_is_asked_for_and_found_dead_is_reclaimed_once(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    const char *consumer = consumers_name_dead(1);

    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->ready == 1);
    assert_int_equal(maintenance_reclaim(queues->maintenance, consumer), 0);
    assert_int_equal(maintenance_reclaim(queues->maintenance, consumer), 0);
    WAIT_UNTIL(queues, queues->reclaims > 0);
    wait_for_looks(queues, 2);
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    assert_int_equal(queues->reclaims, 1);
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), 2);
    queues_tear_down(queues);
}

static const char *run_reclaim(struct queues *queues, const char *consumer, const char *silence)
{
    return redis_server_ask(&queues->server, "EVAL %s 1 weft:{q} %s %s", queue_script_reclaim.source, consumer,
                            silence);
}

static void consumer_that_was_heard_of_meanwhile_is_not_reclaimed(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);

    consumers_give(queues, "someone", two_jobs);
    assert_string_equal(run_reclaim(queues, "someone", "3600000"), "[0 0]");
    assert_int_equal(consumers_held(queues, "someone"), 2);
    assert_string_equal(run_reclaim(queues, "nobody", "3600000"), "[0 0]");
    assert_string_equal(run_reclaim(queues, "someone", "0"), "[2 0]");
    assert_string_equal(run_reclaim(queues, "someone", "0"), "[0 0]");
    redis_server_ask(&queues->server, "DEL weft:{q}");
    assert_string_equal(run_reclaim(queues, "someone", "0"), "[0 0]");
    assert_string_equal(run_reclaim(queues, "someone", "1"), "[0 0]");
    assert_int_equal(redis_server_count(&queues->server, "EXISTS weft:{q}"), 0);
    queues_tear_down(queues);
}

static void queues_that_cannot_be_looked_at_do_no_harm(void **state)
{
    struct queues *queues = queues_begin(state, 4);
    const char *consumer = consumers_name_dead(1);

    queues->options.lease_ms = HOUR_MS;
    consumers_give(queues, consumer, two_jobs);
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->reclaims == 1);
    redis_server_ask(&queues->server, "FLUSHALL");
    redis_server_ask(&queues->server, "SET weft:{r} x");
    redis_server_ask(&queues->server, "XADD weft:{s} * type t");
    wait_for_looks(queues, 8);
    consumers_give(queues, consumer, two_jobs);
    WAIT_UNTIL(queues, queues->reclaims == 2);
    assert_string_equal(redis_server_ask(&queues->server, "GET weft:{r}"), "x");
    WAIT_UNTIL(queues, maintenance_is_idle(queues->maintenance));
    queues_tear_down(queues);
}

static void hundreds_of_dead_consumers_are_all_found(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    enum { CONSUMERS = 300 };
    char host[64];

    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    (void)snprintf(host, sizeof(host), "%08x", (unsigned)consumer_host());
    for (int i = 0; i < CONSUMERS; i++) {
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id j%d", i);
        redis_server_ask(&queues->server,
                         "XREADGROUP GROUP weft n.1.%016x.%s.7ffffffe-1.7ffffffe-1 COUNT 1 STREAMS weft:{q} >", i,
                         host);
    }
    queues_start_maintenance(queues);
    WAIT_UNTIL(queues, queues->reclaims == CONSUMERS);
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    assert_int_equal(redis_server_count(&queues->server, "XLEN weft:{q}"), CONSUMERS);
    queues_tear_down(queues);
}

/* ---- Very many queues, whose consumers are looked at now and then only ---- */

enum { MANY = 400, SOON_MS = 10 * 1000 };

/* Jobs of the last queue, held by a worker that has given a sign of life; and a maintenance that has seen that all is
 * well.
 */
static void begin_with_many(struct queues *queues, const char *consumer, int64_t lease_ms)
{
    static char names[MANY][8];
    static struct queue_spec specs[MANY];
    char name[ENLIST_NAME_SIZE];

    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s", i == MANY - 1 ? "q" : "");
        if (i < MANY - 1)
            (void)snprintf(names[i], sizeof(names[i]), "q%zu", i);
        specs[i] = (struct queue_spec){.name = names[i], .weight = 1};
    }
    queues->options.queues = specs;
    queues->options.queue_count = MANY;
    queues->options.lease_ms = lease_ms;
    consumers_give(queues, consumer, two_jobs);
    assert_int_equal(enlist_format(name, sizeof(name), consumer, &queues->options), 0);
    redis_server_ask(&queues->server, "EVAL %s 1 weft:workers %s 600000", queue_script_enlist.source, name);
    queues_start_maintenance(queues);
    wait_for_looks(queues, MANY + 1);
    assert_int_equal(consumers_held(queues, consumer), 2);
}

static void worker_that_dies_is_found_however_many_queues_there_are(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    pid_t process = consumers_start_process();
    const char *consumer = consumers_name(1, process, process);
    int64_t began_ms;

    begin_with_many(queues, consumer, HOUR_MS);
    consumers_end_process(process);
    began_ms = queues_now_ms();
    expect_reclaimed(queues, consumer, 2, RECLAIM_DEAD);
    assert_true(queues_now_ms() - began_ms < SOON_MS);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS weft:workers", "0"));
    queues_tear_down(queues);
}

static void worker_of_a_lost_host_is_found_however_many_queues_there_are(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    const char *consumer = consumers_name_elsewhere();
    int64_t began_ms = queues_now_ms();

    begin_with_many(queues, consumer, 2000);
    expect_reclaimed(queues, consumer, 2, RECLAIM_EXPIRED);
    assert_true(queues_now_ms() - began_ms < 2 * SOON_MS);
    WAIT_UNTIL(queues, queues_says(queues, "EXISTS weft:workers", "0"));
    queues_tear_down(queues);
}

static void worker_that_has_other_queues_too_is_left_on_the_set(void **state)
{
    struct queues *queues = begin(state, HOUR_MS);
    const char *consumer = consumers_name_dead(1);
    struct queue_options others = queues->options;
    struct queue_spec spec = {.name = "elsewhere", .weight = 1};
    char name[ENLIST_NAME_SIZE];

    others.queues = &spec;
    consumers_give(queues, consumer, two_jobs);
    assert_int_equal(enlist_format(name, sizeof(name), consumer, &others), 0);
    redis_server_ask(&queues->server, "EVAL %s 1 weft:workers %s 600000", queue_script_enlist.source, name);
    queues_start_maintenance(queues);
    expect_reclaimed(queues, consumer, 2, RECLAIM_DEAD);
    wait_for_looks(queues, 4);
    assert_int_equal(redis_server_count(&queues->server, "ZCARD weft:workers"), 1);
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consumer_of_a_lost_host_is_reclaimed_after_its_lease),
        cmocka_unit_test(consumer_whose_lease_seems_to_be_over_once_is_waited_for),
        cmocka_unit_test(consumer_of_a_dead_process_on_this_host_is_reclaimed_at_once),
        cmocka_unit_test(consumer_that_dies_later_is_found_too),
        cmocka_unit_test(consumer_of_a_living_supervisor_is_left_to_it),
        cmocka_unit_test(process_that_stands_still_for_longer_than_its_lease_is_reclaimed),
        cmocka_unit_test(redis_of_our_own_needs_no_lease),
        cmocka_unit_test(dead_consumers_that_hold_nothing_are_deleted),
        cmocka_unit_test(consumer_that_is_asked_for_and_found_dead_is_reclaimed_once),
        cmocka_unit_test(consumer_that_was_heard_of_meanwhile_is_not_reclaimed),
        cmocka_unit_test(queues_that_cannot_be_looked_at_do_no_harm),
        cmocka_unit_test(hundreds_of_dead_consumers_are_all_found),
        cmocka_unit_test(worker_that_dies_is_found_however_many_queues_there_are),
        cmocka_unit_test(worker_of_a_lost_host_is_found_however_many_queues_there_are),
        cmocka_unit_test(worker_that_has_other_queues_too_is_left_on_the_set),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
