/* A job that meets an allocation that fails is run and settled all the same. Each one on its way is failed in turn. */
#include "tests/support/failing_memory.h"
#include "tests/unit/queue_support.h"

/* What cannot be settled is to come again. */
static void try_to_do_job(struct queues *queues, struct job *job)
{
    struct settlement settlement = queues_ran(job, JOB_DONE);

    (void)!queue_client_settle(queues->client, &settlement);
    (void)job_free(job);
}

/* Each time with a client of its own, which has allocated nothing for jobs yet. Gives how often an allocation failed.
 */
static int fail_each(void **state, const char *message)
{
    only_one_fails = true;
    for (int failures = 0; failures < 100; failures++) {
        struct queues *queues = queues_begin(state, 1);

        queues->on_job = try_to_do_job;
        queues_start_client(queues, 10);
        WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "cmd=xreadgroup") != NULL);
        redis_server_ask(&queues->server, message);
        allocations_left = failures;
        WAIT_UNTIL(queues, queues_says(queues, "XLEN weft:{q}", "0") && queues_settled(queues));
        bool failed = allocations_left < 0;
        allocations_left = -1;
        assert_int_equal(queues->drained, 0);
        queue_client_stop(queues->client);
        WAIT_UNTIL(queues, queues->drained == 1);
        queues_tear_down(queues);
        if (!failed)
            return failures;
    }
    fail_msg("there is no end of allocations that fail");
    return 0;
}

static void a_job_for_which_there_was_no_memory_is_run_and_settled(void **state)
{
    assert_true(fail_each(state, "XADD weft:{q} * type t payload x tenant acme") >= 5);
}

static void a_delayed_job_for_which_there_was_no_memory_is_put_off(void **state)
{
    assert_true(fail_each(state, "XADD weft:{q} * type t delay 1h") >= 5);
    assert_string_equal(redis_server_ask(&((struct queues *)*state)->server, "ZCARD weft:{q}:delayed"), "1");
}

static void a_unique_job_for_which_there_was_no_memory_is_run_and_frees_its_key(void **state)
{
    assert_true(fail_each(state, "XADD weft:{q} * type t unique k") >= 5);
    assert_string_equal(redis_server_ask(&((struct queues *)*state)->server, "EXISTS weft:{q}:unique:k"), "0");
}

static void a_message_for_which_there_was_no_memory_becomes_a_dead_letter(void **state)
{
    assert_true(fail_each(state, "XADD weft:{q} * type nosuch") >= 4);
    assert_string_equal(redis_server_ask(&((struct queues *)*state)->server, "XLEN weft:{q}:dead"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_for_which_there_was_no_memory_is_run_and_settled),
        cmocka_unit_test(a_delayed_job_for_which_there_was_no_memory_is_put_off),
        cmocka_unit_test(a_unique_job_for_which_there_was_no_memory_is_run_and_frees_its_key),
        cmocka_unit_test(a_message_for_which_there_was_no_memory_becomes_a_dead_letter),
    };

    return cmocka_run_group_tests(tests, queues_start_server, queues_stop_server);
}
