/* Which jobs are handed over, how many, and in which share. */
#include "tests/unit/queue_support.h"

static void enqueue_many(struct queues *queues, const char *queue, int count)
{
    for (int i = 0; i < count; i++)
        redisAppendCommand(queues->server.context, "XADD weft:{%s} * type t number %d", queue, i);
    for (int i = 0; i < count; i++) {
        redisReply *reply = NULL;

        assert_int_equal(redisGetReply(queues->server.context, (void **)&reply), REDIS_OK);
        freeReplyObject(reply);
    }
}

static void job_enqueued_before_the_first_start_is_run(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} 1763922000123-5 type t payload %b tenant acme", "a\0b", (size_t)3);
    queues_start_client(queues, 1);
    queues_wait_for_jobs(queues, 1);
    const struct job *job = queues->jobs[0];

    assert_string_equal(job->id, "1763922000123-5");
    assert_string_equal(job->entry, "1763922000123-5");
    assert_string_equal(job->queue, "q");
    assert_int_equal(job->payload_size, 3);
    assert_memory_equal(job->payload, "a\0b", 4);
    assert_int_equal(job->metadata_count, 1);
    assert_string_equal(job->metadata[0].name, "tenant");
    assert_string_equal(job->metadata[0].value, "acme");
    assert_int_equal(job->enqueued_ms, INT64_C(1763922000123));
    queues_tear_down(queues);
}

static void job_that_comes_while_waiting_is_run(void **state)
{
    struct queues *queues = queues_begin(state, 3);

    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=xreadgroup") != NULL);
    redis_server_ask(&queues->server, "XADD weft:{r} * type t id last");
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "last");
    assert_string_equal(queues->jobs[0]->queue, "r");
    queues_tear_down(queues);
}

static void never_more_jobs_are_handed_over_than_there_is_room(void **state)
{
    struct queues *queues = queues_begin(state, 3);

    for (int i = 0; i < 3; i++)
        enqueue_many(queues, queues->specs[i].name, 50);
    queues_start_client(queues, 7);
    queues_wait_for_jobs(queues, 7);
    /* Anything too much would come now. */
    for (int i = 0; i < 20; i++)
        (void)event_base_loop(queues->base, EVLOOP_ONCE);
    assert_int_equal(queues->job_count, 7);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_settle_as(queues, queues->jobs[1], JOB_DONE);
    queues_wait_for_jobs(queues, 9);
    for (int i = 0; i < 20; i++)
        (void)event_base_loop(queues->base, EVLOOP_ONCE);
    assert_int_equal(queues->job_count, 9);
    queues_tear_down(queues);
}

static void with_fewer_places_than_queues_each_queue_has_its_turn(void **state)
{
    struct queues *queues = queues_begin(state, 4);

    queues_start_client(queues, 1);
    for (int i = 0; i < 4; i++) {
        redis_server_ask(&queues->server, "XADD weft:{%s} * type t", queues->specs[3 - i].name);
        queues_wait_for_jobs(queues, (size_t)i + 1);
        assert_string_equal(queues->jobs[i]->queue, queues->specs[3 - i].name);
        queues_settle_as(queues, queues->jobs[i], JOB_DONE);
    }
    queues_tear_down(queues);
}

static void busy_queues_are_read_by_their_weights(void **state)
{
    struct queues *queues = queues_begin(state, 3);
    unsigned counts[3] = {0};

    queues->specs[0].weight = 5;
    queues->specs[1].weight = 2;
    for (int i = 0; i < 3; i++)
        enqueue_many(queues, queues->specs[i].name, 200);
    queues_start_client(queues, 80);
    queues_wait_for_jobs(queues, 80);
    for (int i = 0; i < 80; i++)
        counts[queues->jobs[i]->queue[0] - 'q']++;
    /* The first look at a queue brings one job, whatever its weight. */
    assert_in_range(counts[0], 49, 50);
    assert_in_range(counts[1], 20, 21);
    assert_in_range(counts[2], 10, 11);
    queues_tear_down(queues);
}

static void places_that_an_empty_queue_does_not_need_go_to_others(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues->specs[0].weight = 100;
    enqueue_many(queues, "r", 60);
    queues_start_client(queues, 60);
    queues_wait_for_jobs(queues, 60);
    queues_tear_down(queues);
}

static void thousands_of_jobs_go_through_few_places(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues->on_job = queues_do_job;
    enqueue_many(queues, "q", 3000);
    enqueue_many(queues, "r", 3000);
    queues_start_client(queues, 300);
    queues_wait_for_jobs(queues, 6000);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(queues->job_count, 6000);
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{r}"), "0");
    assert_string_equal(redis_server_ask(&queues->server, "LLEN weft:{q}:done"), "3000");
    assert_int_equal(queues->problem_count, 0);
    queues_tear_down(queues);
}

static void bad_message_becomes_a_dead_letter_with_its_reason(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} * type nosuch id bad payload x");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id good");
    queues_start_client(queues, 1);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "good");
    assert_string_equal(queues->rejected,
                        "q bad nosuch: type \"nosuch\" is not configured; add it under jobs: or correct the message");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    const char *letter = redis_server_ask(&queues->server, "XRANGE weft:{q}:dead - +");

    assert_non_null(strstr(letter, " [type nosuch id bad payload x weft.id bad weft.error type \"nosuch\" is not "
                                   "configured; add it under jobs: or correct the message weft.attempts 0 weft.node "
                                   "node1 weft.failed_at "));
    assert_string_equal(redis_server_ask(&queues->server, "HMGET weft:{q}:job:bad state type attempt"),
                        "[dead nosuch 0]");
    queues_tear_down(queues);
}

/* More fields than a script can hand to a command. */
static void message_of_ten_thousand_fields_becomes_a_dead_letter_without_loss(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues_add_huge_message(queues);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id neighbour");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->id, "neighbour");
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "1"));
    assert_non_null(strstr(queues->rejected, "metadata"));
    assert_string_equal(
        redis_server_ask(&queues->server, "EVAL %s 1 weft:{q}:dead",
                         "local fields = redis.call('XRANGE', KEYS[1], '-', '+')[1][2] local more, seen = {}, 0 "
                         "for i = 1, #fields, 2 do if fields[i] == 'weft.more' then more = "
                         "cmsgpack.unpack(fields[i + 1]) elseif fields[i] == fields[i + 1] then seen = seen + 1 end "
                         "end for i = 1, #more, 2 do if more[i] == more[i + 1] then seen = seen + 1 end end "
                         "return {#fields / 2, seen}"),
        "[3906 9999]");
    queues_tear_down(queues);
}

static void large_payload_arrives_whole(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    size_t size = 1024 * 1024;
    char *payload = malloc(size);

    for (size_t i = 0; i < size; i++)
        payload[i] = (char)(i * 7);
    for (int i = 0; i < 5; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t payload %b", payload, size);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(queues->jobs[i]->payload_size, size);
        assert_memory_equal(queues->jobs[i]->payload, payload, size);
    }
    free(payload);
    queues_tear_down(queues);
}

static void enqueued_message_is_answered_with_its_id_and_run(void **state)
{
    struct queues *queues = queues_begin(state, 2);
    const struct job_field fields[] = {{"type", "child", 5}, {"payload", "a\0b", 3}, {"id", "c-1", 3}};
    const struct queue_message message = {.queue = "r", .fields = fields, .field_count = 3};

    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queue_client_enqueue(queues->client, &message, queues_note_answer, queues) == 0);
    WAIT_UNTIL(queues, queues->answers == 1);
    assert_int_equal(queues->answer_result, 0);
    queues_wait_for_jobs(queues, 1);
    assert_string_equal(queues->jobs[0]->entry, queues->answer);
    assert_string_equal(queues->jobs[0]->id, "c-1");
    assert_memory_equal(queues->jobs[0]->payload, "a\0b", 4);
    queues_tear_down(queues);
}

static void message_that_redis_refuses_is_answered_with_its_words(void **state)
{
    struct queues *queues = queues_begin(state, 1);
    const struct job_field fields[] = {{"type", "child", 5}};
    const struct queue_message message = {.queue = "other", .fields = fields, .field_count = 1};

    redis_server_ask(&queues->server, "SET weft:{other} x");
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queue_client_enqueue(queues->client, &message, queues_note_answer, queues) == 0);
    WAIT_UNTIL(queues, queues->answers == 1);
    assert_int_equal(queues->answer_result, -EIO);
    assert_string_equal(queues->answer, "WRONGTYPE Operation against a key holding the wrong kind of value");
    queues_tear_down(queues);
}

static void stop_ends_a_blocked_read_and_deletes_the_consumer(void **state)
{
    struct queues *queues = queues_begin(state, 2);

    queues_start_client(queues, 10);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_wait_for_jobs(queues, 1);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=client|unblock") != NULL);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id late");
    assert_int_equal(queues->drained, 0);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(queues->job_count, 1);
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "1");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{r} weft"), "[]");
    queues_tear_down(queues);
}

static void stop_at_first_job(struct queues *queues, struct job *job)
{
    queues->jobs[queues->job_count] = job;
    queue_client_stop(queues->client);
}

static void what_arrives_after_the_stop_is_returned_uncharged(void **state)
{
    struct queues *queues = queues_begin(state, 1);

    queues->on_job = stop_at_first_job;
    enqueue_many(queues, "q", 10);
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->drained == 1);
    assert_int_equal(queues->job_count, 1);
    assert_string_equal(redis_server_ask(&queues->server, "XLEN weft:{q}"), "9");
    assert_string_equal(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), "[]");
    const char *last = redis_server_ask(&queues->server, "XREVRANGE weft:{q} + - COUNT 1");

    assert_non_null(strstr(last, "[type t number 3 weft.id "));
    assert_non_null(strstr(last, " weft.attempt 0 "));
    queues_tear_down(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_enqueued_before_the_first_start_is_run),
        cmocka_unit_test(job_that_comes_while_waiting_is_run),
        cmocka_unit_test(never_more_jobs_are_handed_over_than_there_is_room),
        cmocka_unit_test(with_fewer_places_than_queues_each_queue_has_its_turn),
        cmocka_unit_test(busy_queues_are_read_by_their_weights),
        cmocka_unit_test(places_that_an_empty_queue_does_not_need_go_to_others),
        cmocka_unit_test(thousands_of_jobs_go_through_few_places),
        cmocka_unit_test(bad_message_becomes_a_dead_letter_with_its_reason),
        cmocka_unit_test(message_of_ten_thousand_fields_becomes_a_dead_letter_without_loss),
        cmocka_unit_test(large_payload_arrives_whole),
        cmocka_unit_test(enqueued_message_is_answered_with_its_id_and_run),
        cmocka_unit_test(message_that_redis_refuses_is_answered_with_its_words),
        cmocka_unit_test(stop_ends_a_blocked_read_and_deletes_the_consumer),
        cmocka_unit_test(what_arrives_after_the_stop_is_returned_uncharged),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
