/* Lost connections, servers that are away or do not serve, and what the user is told. */
#include "tests/unit/health_support.h"

static bool has_job(const struct queues *queues, const char *id)
{
    for (size_t i = 0; i < queues->job_count; i++)
        if (strcmp(queues->jobs[i]->id, id) == 0)
            return true;
    return false;
}

static void redis_that_comes_later_is_waited_for(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    (void)state;
    redis_server_kill(&queues->server);
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    for (int i = 0; i < 100; i++)
        (void)event_base_loop(queues->base, EVLOOP_ONCE);
    assert_problem(queues, 0, "cannot be reached: No such file or directory");
    assert_int_equal(queues->problem_count, 1);
    redis_server_up(&queues->server);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_wait_for_jobs(queues, 1);
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    queues_end_alone(queues);
}

static void settlements_outlive_a_restart_of_redis(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, true, 1);

    (void)state;
    for (int i = 0; i < 300; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id j%d", i);
    queues_start_client(queues, 300);
    queues_wait_for_jobs(queues, 300);
    redis_server_kill(&queues->server);
    for (int i = 0; i < 300; i++)
        queues_settle_as(queues, queues->jobs[i], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    redis_server_up(&queues->server);
    WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0"));
    assert_string_equal(redis_server_ask(&queues->server, "LLEN weft:{q}:done"), "300");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id after");
    queues_wait_for_jobs(queues, 301);
    assert_string_equal(queues->jobs[300]->id, "after");
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    queues_end_alone(queues);
}

static void wrong_password_is_said_and_the_right_one_works(void **state)
{
    struct queues *queues = queues_begin_alone("secret", false, 1);

    (void)state;
    queues->options.password = "wrong";
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_problem(queues, 0, "cannot serve: WRONGPASS invalid username-password pair or user is disabled.");
    queues->client = queue_client_free(queues->client);
    queues->options.username = "default";
    queues->options.password = "secret";
    queues->options.database = 3;
    queues_start_client(queues, 10);
    redis_server_ask(&queues->server, "SELECT 3");
    redis_server_ask(&queues->server, "XADD weft:{q} * type t");
    queues_wait_for_jobs(queues, 1);
    queues_end_alone(queues);
}

static void missing_password_is_said(void **state)
{
    struct queues *queues = queues_begin_alone("secret", false, 1);

    (void)state;
    queues->options.password = NULL;
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_problem(queues, 0, "cannot serve: NOAUTH Authentication required.");
    queues_end_alone(queues);
}

static void server_that_becomes_read_only_gets_the_outcomes_when_it_can_be_written_again(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    (void)state;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    redis_server_ask(&queues->server, "REPLICAOF 127.0.0.1 1");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: READONLY You can't write against a read only replica."));
    redis_server_ask(&queues->server, "REPLICAOF NO ONE");
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:j state", "done"));
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    queues_end_alone(queues);
}

/* Redis gave an entry to this consumer, and the connection was lost before it arrived. */
static void entry_that_got_lost_on_its_way_is_found_again(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    (void)state;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id known");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    queue_client_stop(queues->client); /* so that it does not read what follows */
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=client|unblock") != NULL);
    queues->client = queue_client_free(queues->client);
    queues_start_client(queues, 0);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=evalsha") != NULL);
    redis_server_ask(&queues->server, "XADD weft:{q} 9999999999999-1 type t id lost");
    redis_server_ask(&queues->server, "XADD weft:{q} 9999999999999-2 type t id lost-and-deleted");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft worker1 STREAMS weft:{q} >");
    redis_server_ask(&queues->server, "XDEL weft:{q} 9999999999999-2");
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    queues_wait_for_jobs(queues, 3);
    assert_string_equal(queues->jobs[1]->id, "known"); /* not known to the second client */
    assert_string_equal(queues->jobs[2]->id, "lost");
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "XPENDING weft:{q} weft - + 10"), "9-2 ") == NULL);
    queues_end_alone(queues);
}

static void job_in_hand_is_not_run_again_after_a_lost_connection(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    (void)state;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id known");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    for (int i = 0; i < 3; i++) {
        size_t problems = queues->problem_count;

        redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
        WAIT_UNTIL(queues, queues->problem_count > problems);
        redis_server_ask(&queues->server, "XADD weft:{q} * type t id new");
        queues_wait_for_jobs(queues, (size_t)i + 2);
        assert_string_equal(queues->jobs[i + 1]->id, "new");
        WAIT_UNTIL(queues, queues->problems[queues->problem_count - 1][0] == '\0');
    }
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues_says(queues, "HGET weft:{q}:job:known state", "done"));
    assert_int_equal(queues->job_count, 4);
    queues_end_alone(queues);
}

/* Between any two steps of the client's: while it makes groups, looks for what got lost, and reads. */
static void groups_that_vanish_while_lost_entries_are_looked_for_are_made_again(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 4);

    (void)state;
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id first");
    queues_start_client(queues, 100);
    queues_wait_for_jobs(queues, 1);
    for (int round = 0; round < 5; round++) {
        redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
        for (int64_t end_ms = queues_now_ms() + 300; queues_now_ms() < end_ms;) {
            (void)event_base_loop(queues->base, EVLOOP_ONCE);
            for (size_t i = 0; i < queues->options.queue_count; i++)
                redis_server_ask(&queues->server, "XGROUP DESTROY weft:{%s} weft", queues->specs[i].name);
        }
    }
    for (size_t i = 0; i < queues->options.queue_count; i++)
        redis_server_ask(&queues->server, "XADD weft:{%s} * type t id last-%d", queues->specs[i].name, (int)i);
    for (size_t i = 0; i < queues->options.queue_count; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "last-%d", (int)i);
        WAIT_UNTIL(queues, has_job(queues, id));
    }
    queues_end_alone(queues);
}

static void message_is_not_taken_while_redis_is_away(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);
    const struct job_field fields[] = {{"type", "child", 5}};
    const struct queue_message message = {.queue = "q", .fields = fields, .field_count = 1};

    (void)state;
    queues_start_client(queues, 10);
    assert_int_equal(queue_client_enqueue(queues->client, &message, queues_note_answer, queues), -ENOTCONN);
    WAIT_UNTIL(queues, queue_client_enqueue(queues->client, &message, queues_note_answer, queues) == 0);
    redis_server_kill(&queues->server);
    WAIT_UNTIL(queues, queues->answers == 1);
    assert_int_equal(queues->answer_result, -ENOTCONN);
    queues_end_alone(queues);
}

static void stop_without_redis_drains_what_is_settled_already(void **state)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    (void)state;
    queues_start_client(queues, 10);
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=xreadgroup") != NULL);
    redis_server_kill(&queues->server);
    queue_client_stop(queues->client);
    WAIT_UNTIL(queues, queues->drained == 1);
    queues_end_alone(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_that_comes_later_is_waited_for),
        cmocka_unit_test(settlements_outlive_a_restart_of_redis),
        cmocka_unit_test(wrong_password_is_said_and_the_right_one_works),
        cmocka_unit_test(missing_password_is_said),
        cmocka_unit_test(server_that_becomes_read_only_gets_the_outcomes_when_it_can_be_written_again),
        cmocka_unit_test(entry_that_got_lost_on_its_way_is_found_again),
        cmocka_unit_test(job_in_hand_is_not_run_again_after_a_lost_connection),
        cmocka_unit_test(groups_that_vanish_while_lost_entries_are_looked_for_are_made_again),
        cmocka_unit_test(message_is_not_taken_while_redis_is_away),
        cmocka_unit_test(stop_without_redis_drains_what_is_settled_already),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
