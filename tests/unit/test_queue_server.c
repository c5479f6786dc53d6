/* Servers that do not serve, for one reason or another: what is said, and that outcomes are written when they do. */
#include "tests/unit/health_support.h"

#include <sys/stat.h>

static struct queues *begin_with_job(bool durable)
{
    struct queues *queues = queues_begin_alone(NULL, durable, 1);

    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    return queues;
}

static bool is_done(struct queues *queues)
{
    return queues_says(queues, "HGET weft:{q}:job:j state", "done");
}

/* The job that ran is settled, once, and the next one arrives. */
static void finish(struct queues *queues)
{
    WAIT_UNTIL(queues, is_done(queues));
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id after");
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[1]->id, "after");
    assert_string_equal(redis_server_ask(&queues->server, "LRANGE weft:{q}:done 0 -1"), "[j]");
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    assert_int_equal(queues->job_count, 2);
    queues_end_alone(queues);
}

/* The client's connection that waits for jobs, or the other one: of the last line of CLIENT LIST that has such flags,
 * which say that it waits and that it is over a unix socket. */
static void kill_connection(struct queues *queues, const char *flags)
{
    char *list = strdup(redis_server_ask(&queues->server, "CLIENT LIST"));
    long id = 0;

    for (char *line = list, *end; line; line = end ? end + strlen("\\x0a") : NULL) {
        end = strstr(line, "\\x0a");
        if (end)
            *end = '\0';
        if (strstr(line, "name=worker1") && strstr(line, flags))
            id = strtol(line + strlen("id="), NULL, 10);
    }
    free(list);
    assert_string_equal(redis_server_ask(&queues->server, "CLIENT KILL ID %ld", id), "1");
}

static void connection_that_waits_for_jobs_is_made_again(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "flags=bU") != NULL);
    kill_connection(queues, "flags=bU");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    finish(queues);
}

static void connection_for_commands_is_made_again(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "CLIENT LIST"), "flags=bU") != NULL);
    kill_connection(queues, "flags=U");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    finish(queues);
}

static void short_pause_is_no_trouble(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    redis_server_ask(&queues->server, "CLIENT PAUSE 700 ALL");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_let_pass(queues, 300);
    WAIT_UNTIL(queues, is_done(queues));
    assert_int_equal(queues->problem_count, 0);
    queues_end_alone(queues);
}

static void server_that_stands_still_is_noticed(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    (void)kill(queues->server.pid, SIGSTOP);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    (void)kill(queues->server.pid, SIGCONT);
    assert_problem(queues, 0, "does not answer");
    finish(queues);
}

static void server_that_is_loading_is_waited_for(void **state)
{
    struct queues *queues = begin_with_job(true);

    (void)state;
    redis_server_ask(&queues->server, "EVAL %s 0", "for i = 1, 10000 do redis.call('SET', 'k' .. i, i) end");
    redis_server_kill(&queues->server);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues->server.slow_to_load = true;
    redis_server_launch(&queues->server);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: LOADING Redis is loading the dataset in memory"));
    assert_false(is_well_again(queues));
    redis_server_meet(&queues->server);
    finish(queues);
}

/* For as long as the server's setting is bad, and not a moment longer. */
static void check_setting(const char *bad, const char *good, const char *sentence)
{
    struct queues *queues = begin_with_job(false);

    redis_server_ask(&queues->server, bad);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 1000);
    assert_problem(queues, queues->problem_count - 1, sentence);
    assert_int_equal(queues->job_count, 1);
    redis_server_ask(&queues->server, good);
    finish(queues);
}

static void replica(void **state)
{
    (void)state;
    check_setting("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE",
                  "cannot serve: READONLY You can't write against a read only replica.");
}

static void replica_that_has_lost_its_master(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET replica-serve-stale-data no");
    redis_server_ask(&queues->server, "REPLICAOF 127.0.0.1 1");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: MASTERDOWN Link with MASTER is down and "
                                           "replica-serve-stale-data is set to 'no'."));
    redis_server_ask(&queues->server, "REPLICAOF NO ONE");
    finish(queues);
}

static void too_few_replicas(void **state)
{
    (void)state;
    check_setting("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0",
                  "cannot serve: NOREPLICAS Not enough good replicas to write.");
}

static void disk_that_cannot_be_written(void **state)
{
    struct queues *queues = begin_with_job(false);
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/dump.rdb", queues->server.folder);
    assert_int_equal(mkdir(path, 0700), 0); /* where a file is to be */
    redis_server_ask(&queues->server, "CONFIG SET save %s", "86400 1000000");
    redis_server_ask(&queues->server, "BGSAVE");
    WAIT_UNTIL(queues, strstr(redis_server_ask(&queues->server, "INFO persistence"), "rdb_last_bgsave_status:err"));
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    assert_true(has_problem(queues, "cannot serve: MISCONF Redis is configured to save RDB snapshots, but it"));
    redis_server_ask(&queues->server, "CONFIG SET stop-writes-on-bgsave-error no");
    finish(queues);
}

/* Somebody's script runs on and on. */
static void busy_server(void **state)
{
    struct queues *queues = begin_with_job(false);
    redisContext *other = redisConnectUnix(queues->server.socket);

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET busy-reply-threshold 20");
    redisAppendCommand(other, "EVAL %s 0", "while true do end");
    for (int written = 0; !written;)
        assert_int_equal(redisBufferWrite(other, &written), REDIS_OK);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: BUSY Redis is busy running a script."));
    queues_let_pass(queues, 1000);
    assert_int_equal(queues->problem_count, 1);
    assert_string_equal(redis_server_ask(&queues->server, "SCRIPT KILL"), "OK");
    redisFree(other);
    finish(queues);
}

static void password_that_was_set_meanwhile(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET requirepass secret");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, is_done(queues)); /* who is in stays in */
    assert_int_equal(queues->problem_count, 0);
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: NOAUTH Authentication required."));
    queues_let_pass(queues, 1000);
    assert_false(is_well_again(queues));
    redis_server_ask(&queues->server, "CONFIG SET requirepass \"\"");
    redis_server_ask(&queues->server, "ACL SETUSER default nopass");
    finish(queues);
}

static void server_with_too_many_clients(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET maxclients 1");
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: ERR max number of clients reached"));
    queues_let_pass(queues, 1000);
    assert_false(is_well_again(queues));
    redis_server_ask(&queues->server, "CONFIG SET maxclients 100");
    finish(queues);
}

/* ---- What is refused for the time being, while other things are not ---- */

/* Taking jobs off the stream needs no memory to speak of; what does is refused. */
static void server_without_memory_takes_outcomes_and_refuses_the_rest(void **state)
{
    struct queues *queues = begin_with_job(false);
    const struct job_field fields[] = {{"type", "child", 5}};
    const struct queue_message message = {.queue = "q", .fields = fields, .field_count = 1};

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET maxmemory 1");
    assert_int_equal(queue_client_enqueue(queues->client, &message, queues_note_answer, queues), 0);
    WAIT_UNTIL(queues, queues->answers == 1);
    assert_int_equal(queues->answer_result, -EIO);
    assert_string_equal(queues->answer, "OOM command not allowed when used memory > 'maxmemory'.");
    assert_int_equal(queue_client_report_running(queues->client, queues->jobs[0], 1, NULL), 0);
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, is_done(queues));
    assert_int_equal(queues->problem_count, 0);
    redis_server_ask(&queues->server, "CONFIG SET maxmemory 0");
    queues_end_alone(queues);
}

/* Without it what waits there could not be taken off. */
static void group_is_made_anew_though_memory_is_full(void **state)
{
    struct queues *queues = begin_with_job(false);

    (void)state;
    redis_server_ask(&queues->server, "CONFIG SET maxmemory 1");
    redis_server_ask(&queues->server, "XGROUP DESTROY weft:{q} weft");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    queues_wait_for_jobs(queues, 2); /* Redis has forgotten that it was given to us */
    assert_string_equal(queues->jobs[1]->id, "j");
    assert_int_equal(queues->problem_count, 0);
    redis_server_ask(&queues->server, "CONFIG SET maxmemory 0");
    queues_end_alone(queues);
}

static struct queues *begin_as_user(void)
{
    struct queues *queues = queues_begin_alone(NULL, false, 1);

    redis_server_ask(&queues->server, "ACL SETUSER weft on >secret ~* +@all");
    queues->options.username = "weft";
    queues->options.password = "secret";
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id j");
    queues_start_client(queues, 10);
    queues_wait_for_jobs(queues, 1);
    return queues;
}

/* Redis 8 says which user it is. */
static void assert_forbidden(const struct queues *queues, const char *what, const char *command, const char *then)
{
    static const char *const users[] = {"this user", "User weft"};
    char text[256];
    bool named = strstr(queues->problems[0], users[1]) != NULL;

    (void)snprintf(text, sizeof(text), "%s queue q: NOPERM %s has no permissions to run the '%s' command%s", what,
                   users[named], command, then);
    assert_problem(queues, 0, text);
}

static void user_who_may_not_settle(void **state)
{
    struct queues *queues = begin_as_user();

    (void)state;
    redis_server_ask(&queues->server, "ACL SETUSER weft -eval -evalsha");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    queues_let_pass(queues, 1200);
    assert_forbidden(queues, "did not take outcomes of", "evalsha", "; they are tried again each second");
    assert_false(is_well_again(queues));
    redis_server_ask(&queues->server, "ACL SETUSER weft +@all");
    finish(queues);
}

static void user_who_may_not_read(void **state)
{
    struct queues *queues = begin_as_user();

    (void)state;
    redis_server_ask(&queues->server, "ACL SETUSER weft -xreadgroup");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, queues->problem_count > 0);
    queues_let_pass(queues, 1200);
    assert_int_equal(queues->problem_count, 1);
    assert_forbidden(queues, "does not let us read", "xreadgroup", "");
    redis_server_ask(&queues->server, "ACL SETUSER weft +@all");
    finish(queues);
}

/* An entry that was lost on its way, found as soon as the user may look for it. */
static void user_who_may_not_recover(void **state)
{
    struct queues *queues = begin_as_user();

    (void)state;
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, is_done(queues));
    redis_server_ask(&queues->server, "ACL SETUSER weft -xreadgroup");
    WAIT_UNTIL(queues, has_problem(queues, "does not let us read queue q: NOPERM"));
    redis_server_ask(&queues->server, "CLIENT KILL TYPE normal SKIPME yes");
    queues_let_pass(queues, 1200);
    redis_server_ask(&queues->server, "XADD weft:{q} * type t id lost");
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft worker1 STREAMS weft:{q} >");
    redis_server_ask(&queues->server, "ACL SETUSER weft +@all");
    queues_wait_for_jobs(queues, 2);
    assert_string_equal(queues->jobs[1]->id, "lost");
    WAIT_UNTIL(queues, is_well_again(queues));
    assert_told_once(queues);
    queues_end_alone(queues);
}

static void user_who_is_deleted(void **state)
{
    struct queues *queues = begin_as_user();

    (void)state;
    redis_server_ask(&queues->server, "ACL DELUSER weft");
    queues_settle_as(queues, queues->jobs[0], JOB_DONE);
    WAIT_UNTIL(queues, has_problem(queues, "cannot serve: WRONGPASS invalid username-password pair"));
    redis_server_ask(&queues->server, "ACL SETUSER weft on >secret ~* +@all");
    finish(queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_that_waits_for_jobs_is_made_again),
        cmocka_unit_test(connection_for_commands_is_made_again),
        cmocka_unit_test(short_pause_is_no_trouble),
        cmocka_unit_test(server_that_stands_still_is_noticed),
        cmocka_unit_test(server_that_is_loading_is_waited_for),
        cmocka_unit_test(replica),
        cmocka_unit_test(replica_that_has_lost_its_master),
        cmocka_unit_test(too_few_replicas),
        cmocka_unit_test(disk_that_cannot_be_written),
        cmocka_unit_test(busy_server),
        cmocka_unit_test(password_that_was_set_meanwhile),
        cmocka_unit_test(server_with_too_many_clients),
        cmocka_unit_test(server_without_memory_takes_outcomes_and_refuses_the_rest),
        cmocka_unit_test(group_is_made_anew_though_memory_is_full),
        cmocka_unit_test(user_who_may_not_settle),
        cmocka_unit_test(user_who_may_not_read),
        cmocka_unit_test(user_who_may_not_recover),
        cmocka_unit_test(user_who_is_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
