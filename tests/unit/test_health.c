/* What the owner is told of what is wrong with Redis, and which errors are the server's fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "queue/redis/health.h"
#include "queue/redis/reply.h"

struct owner {
    struct health health;
    struct health_subject one;
    struct health_subject other;
    char reported[1024]; /* all of it, a line each */
};

static void note(const char *problem, void *user)
{
    struct owner *owner = user;
    size_t size = strlen(owner->reported);

    (void)snprintf(owner->reported + size, sizeof(owner->reported) - size, "%s\n", problem ? problem : "well");
}

static void begin(struct owner *owner)
{
    static const struct queue_options options = {.host = "host", .port = 6379};

    *owner = (struct owner){0};
    health_init(&owner->health, &options, note, owner);
    owner->one.health = &owner->health;
    owner->other.health = &owner->health;
}

static void problem_is_told_once_and_its_end_once(void **state)
{
    struct owner owner;

    (void)state;
    begin(&owner);
    health_clear_problem(&owner.one);
    health_set_problem(&owner.one, "says %d", 1);
    health_set_problem(&owner.one, "says %d", 1);
    health_clear_problem(&owner.one);
    health_clear_problem(&owner.one);
    assert_string_equal(owner.reported, "Redis at host:6379 says 1\nwell\n");
}

static void problem_of_several_subjects_is_told_once(void **state)
{
    struct owner owner;

    (void)state;
    begin(&owner);
    health_set_problem(&owner.one, "is away");
    health_set_problem(&owner.other, "is away");
    health_clear_problem(&owner.one);
    health_clear_problem(&owner.other);
    assert_string_equal(owner.reported, "Redis at host:6379 is away\nwell\n");
}

static void all_is_well_when_every_subject_is(void **state)
{
    struct owner owner;

    (void)state;
    begin(&owner);
    health_set_problem(&owner.one, "is away");
    health_set_problem(&owner.other, "is broken");
    health_clear_problem(&owner.other);
    health_set_problem(&owner.other, "is broken");
    health_clear_problem(&owner.one);
    health_clear_problem(&owner.other);
    assert_string_equal(owner.reported, "Redis at host:6379 is away\nRedis at host:6379 is broken\nwell\n");
}

static void problem_that_changes_to_and_fro_is_not_told_again(void **state)
{
    struct owner owner;

    (void)state;
    begin(&owner);
    for (int i = 0; i < 3; i++) {
        health_set_problem(&owner.one, "is away");
        health_set_problem(&owner.one, "is loading");
    }
    health_clear_problem(&owner.one);
    assert_string_equal(owner.reported, "Redis at host:6379 is away\nRedis at host:6379 is loading\nwell\n");
}

static void problem_that_comes_back_is_told_again(void **state)
{
    struct owner owner;

    (void)state;
    begin(&owner);
    for (int i = 0; i < 2; i++) {
        health_set_problem(&owner.one, "is away");
        health_clear_problem(&owner.one);
    }
    assert_string_equal(owner.reported, "Redis at host:6379 is away\nwell\nRedis at host:6379 is away\nwell\n");
}

static void long_and_many_sentences_are_kept_in_bounds(void **state)
{
    struct owner owner;
    char long_text[2 * HEALTH_TEXT_SIZE];

    (void)state;
    begin(&owner);
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    health_set_problem(&owner.one, "%s", long_text);
    assert_int_equal(strlen(owner.reported), HEALTH_TEXT_SIZE); /* and the end of the line */
    for (int i = 0; i < 3 * HEALTH_REPORTED_MAX; i++)
        health_set_problem(&owner.one, "%d", i);
    health_clear_problem(&owner.one);
    assert_int_equal(owner.health.unhealthy, 0);
}

static bool blames_server(const char *words)
{
    char copy[256];

    (void)snprintf(copy, sizeof(copy), "%s", words);
    return reply_blames_server(&(redisReply){.type = REDIS_REPLY_ERROR, .str = copy, .len = strlen(copy)});
}

static void errors_of_the_server_as_a_whole_are_its_fault(void **state)
{
    static const char *const errors[] = {
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "DENIED Redis is running in protected mode because protected mode is enabled",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "ERR max number of clients reached",
        "ERR max number of clients + cluster connections reached",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!blames_server(errors[i]))
            fail_msg("not the server's fault: %s", errors[i]);
}

static void errors_of_a_command_are_not_the_servers_fault(void **state)
{
    static const char *const errors[] = {
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "NOGROUP No such key 'weft:{q}' or consumer group 'weft' in XREADGROUP with GROUP option",
        "NOSCRIPT No matching script. Please use EVAL.",
        "UNBLOCKED client unblocked via CLIENT UNBLOCK",
        "MOVED 3999 127.0.0.1:6381",
        "BUSYGROUP Consumer Group name already exists",
        "LOADINGS",
        "ERR syntax error",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (blames_server(errors[i]))
            fail_msg("the server's fault: %s", errors[i]);
    assert_false(reply_blames_server(&(redisReply){.type = REDIS_REPLY_STATUS, .str = (char[]){"LOADING"}, .len = 7}));
    assert_false(reply_blames_server(&(redisReply){.type = REDIS_REPLY_NIL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problem_is_told_once_and_its_end_once),
        cmocka_unit_test(problem_of_several_subjects_is_told_once),
        cmocka_unit_test(all_is_well_when_every_subject_is),
        cmocka_unit_test(problem_that_changes_to_and_fro_is_not_told_again),
        cmocka_unit_test(problem_that_comes_back_is_told_again),
        cmocka_unit_test(long_and_many_sentences_are_kept_in_bounds),
        cmocka_unit_test(errors_of_the_server_as_a_whole_are_its_fault),
        cmocka_unit_test(errors_of_a_command_are_not_the_servers_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
