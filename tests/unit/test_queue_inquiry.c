/* Inquiries: each is told once to each worker, and nothing that is asked or answered stays in Redis. */
#include "queue/consumer/control.h"
#include "queue/scripts/scripts.h"
#include "tests/unit/queue_support.h"

#define KEYS                                                                                                           \
    "11 weft:{q} weft:{q}:delayed weft:{q}:dead weft:{q}:bodies weft:{q}:done weft:{q}:failed weft:{q}:cancel "        \
    "weft:{q}:ps weft:control weft:due weft:workers"

/* Asks, and gives the consumers that are to answer. */
static const char *inquire(struct queues *queues, const char *inquiry)
{
    return redis_server_ask(&queues->server, "EVAL %s " KEYS " %s 10000 3", queue_script_inquire.source, inquiry);
}

static const char *holdings_from(struct queues *queues, const char *consumer, const char *max, const char *first)
{
    return redis_server_ask(&queues->server, "EVAL %s " KEYS " %s %s %s", queue_script_holdings.source, consumer, max,
                            first);
}

static const char *holdings(struct queues *queues, const char *consumer, const char *max)
{
    return holdings_from(queues, consumer, max, "-");
}

/* ---- The worker ---- */

static void inquiry_is_told_once_and_answered_by_the_consumers_name(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues->told = "{\"jobs\":[]}";
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(inquire(queues, "abc"), "[worker1]");
    WAIT_UNTIL(queues, queues_says(queues, "HGETALL weft:{q}:ps:abc", "[worker1 {\"jobs\":[]}]"));
    assert_string_equal(queues->inquired, "q - abc");
    queues_run(queues, 600);
    assert_int_equal(queues->inquiries, 1);
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{r}:ps:abc"), "0");
    queues_tear_down(queues);
}

static void inquiry_names_the_job_that_it_is_about(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues_start_client(queues, 10);
    redis_server_ask(&queues->server, "ZADD weft:{r}:ps 1 %s", "abc a:b.c-1");
    WAIT_UNTIL(queues, queues->inquiries == 1);
    assert_string_equal(queues->inquired, "r a:b.c-1 abc a:b.c-1");
    queues_tear_down(queues);
}

static void what_is_no_inquiry_is_not_answered(void **state)
{
    static const char *const members[] = {"", " ", "abc ", " job", "abc a b", "a/b", "abc a/b", "a{b}", "\n"};
    struct queues *queues = queues_begin(state, 1);
    char large[300];

    (void)memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    redis_server_ask(&queues->server, "ZADD weft:{q}:ps 1 %s", large);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        redis_server_ask(&queues->server, "ZADD weft:{q}:ps 1 %s", members[i]);
    redis_server_ask(&queues->server, "ZADD weft:{q}:ps 2 good");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->inquiries == 1);
    assert_string_equal(queues->inquired, "q - good");
    queues_run(queues, 300);
    assert_int_equal(queues->inquiries, 1);
    queues_tear_down(queues);
}

static void key_that_is_something_else_inquires_nothing_and_jobs_are_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "SET weft:{q}:ps x");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_int_equal(queues->inquiries, 0);
    queues_tear_down(queues);
}

/* ---- In Redis ---- */

static void answers_are_forgotten_and_late_ones_not_kept(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    inquire(queues, "abc");
    redis_server_ask(&queues->server, "EVAL %s " KEYS " abc w1 text 10000", queue_script_answer.source);
    redis_server_ask(&queues->server, "EVAL %s " KEYS " other w1 text 10000", queue_script_answer.source);
    assert_string_equal(redis_server_ask(&queues->server, "HGETALL weft:{q}:ps:abc"), "[w1 text]");
    assert_string_equal(redis_server_ask(&queues->server, "EXISTS weft:{q}:ps:other"), "0");
    long long left_ms = redis_server_count(&queues->server, "PTTL weft:{q}:ps:abc");
    assert_true(left_ms > 0 && left_ms <= 10000);
    left_ms = redis_server_count(&queues->server, "PTTL weft:{q}:ps");
    assert_true(left_ms > 0 && left_ms <= 10000);
    queues_tear_down(queues);
}

static void of_too_many_inquiries_the_oldest_is_given_up_and_old_ones_go(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "ZADD weft:{q}:ps 1763922000123 long-ago");
    inquire(queues, "a");
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:ps 0 -1"), "[a]");
    for (const char *name = "bcd"; *name; name++) {
        redis_server_sleep_ms(2);
        inquire(queues, (char[]){*name, '\0'});
    }
    assert_string_equal(redis_server_ask(&queues->server, "ZRANGE weft:{q}:ps 0 -1"), "[b c d]");
    queues_tear_down(queues);
}

static void where_nobody_reads_nobody_is_to_answer(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    assert_string_equal(inquire(queues, "abc"), "[]");
    assert_string_equal(holdings(queues, "w1", "10"), "[-1 [] ]");
    redis_server_ask(&queues->server, "XADD weft:{q} 17-0 type t");
    assert_string_equal(inquire(queues, "abc"), "[]");
    assert_string_equal(holdings(queues, "w1", "10"), "[-1 [] ]");
    queues_tear_down(queues);
}

/* For how long Redis has not heard of it, and of each job, is cut off. */
static const char *without_times(const char *holdings)
{
    static char text[256];
    size_t used = 0;

    for (const char *at = holdings; *at && used < sizeof(text) - 1; at++) {
        if (at == holdings + 1)
            at += strcspn(at, " ") + 1;
        if (*at == ' ' && at[1 + strspn(at + 1, "0123456789")] == ']')
            at += 1 + strspn(at + 1, "0123456789");
        text[used++] = *at;
    }
    text[used] = '\0';
    return text;
}

static void what_a_silent_consumer_holds_is_listed(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    struct redis_server *server = &queues->server;

    redis_server_ask(server, "XADD weft:{q} 17-0 type t id mine payload x");
    redis_server_ask(server, "XADD weft:{q} 18-0 type u weft.id again weft.attempt 2");
    redis_server_ask(server, "XADD weft:{q} 19-0 type v");
    redis_server_ask(server, "XGROUP CREATE weft:{q} weft 0");
    redis_server_ask(server, "XREADGROUP GROUP weft w1 COUNT 3 STREAMS weft:{q} >");
    assert_string_equal(without_times(holdings(queues, "w1", "10")), "[[[mine t 1] [again u 3] [19-0 v 1]]]");
    assert_string_equal(without_times(holdings(queues, "w1", "1")), "[[[mine t 1]]]");
    redis_server_ask(server, "XDEL weft:{q} 18-0 19-0");
    assert_string_equal(without_times(holdings(queues, "w1", "10")), "[[[mine t 1] [18-0  1] [19-0  1]]]");
    assert_string_equal(holdings(queues, "w2", "10"), "[-1 [] ]");
    queues_tear_down(queues);
}

/* What is large is read in slices, as nobody else is served meanwhile. */
static void what_a_silent_consumer_holds_is_listed_in_slices(void **state)
{
    enum { SIZE = 300 * 1024 };
    struct queues *queues = queues_begin(state, 1);
    struct redis_server *server = &queues->server;
    char *payload = calloc(1, SIZE);

    redis_server_ask(server, "XADD weft:{q} 17-0 type t payload %b", payload, (size_t)SIZE);
    redis_server_ask(server, "XADD weft:{q} 18-0 type u payload %b", payload, (size_t)SIZE);
    free(payload);
    redis_server_ask(server, "XGROUP CREATE weft:{q} weft 0");
    freeReplyObject(redisCommand(server->context, "XREADGROUP GROUP weft w1 STREAMS weft:{q} >"));
    assert_string_equal(without_times(holdings(queues, "w1", "10")), "[[[17-0 t 1]] 18-0]");
    assert_string_equal(without_times(holdings_from(queues, "w1", "10", "18-0")), "[[[18-0 u 1]]]");
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inquiry_is_told_once_and_answered_by_the_consumers_name),
        cmocka_unit_test(inquiry_names_the_job_that_it_is_about),
        cmocka_unit_test(what_is_no_inquiry_is_not_answered),
        cmocka_unit_test(key_that_is_something_else_inquires_nothing_and_jobs_are_run),
        cmocka_unit_test(answers_are_forgotten_and_late_ones_not_kept),
        cmocka_unit_test(of_too_many_inquiries_the_oldest_is_given_up_and_old_ones_go),
        cmocka_unit_test(where_nobody_reads_nobody_is_to_answer),
        cmocka_unit_test(what_a_silent_consumer_holds_is_listed),
        cmocka_unit_test(what_a_silent_consumer_holds_is_listed_in_slices),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
