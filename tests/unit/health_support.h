/*
 * For tests of Redis's health: a server of the test's own, and what was said about it.
 */
#pragma once

#include "tests/unit/queue_support.h"

/* A server that the test may kill, and do anything else to. */
static inline struct queues *queues_begin_alone(const char *password, bool durable, size_t queue_count)
{
    struct queues *queues = calloc(1, sizeof(*queues));

    queues->server.password = password;
    queues->server.durable = durable;
    redis_server_start(&queues->server);
    queues_set_up(queues, queue_count);
    return queues;
}

static inline void queues_end_alone(struct queues *queues)
{
    queues_tear_down(queues);
    redis_server_stop(&queues->server);
    free(queues);
}

static inline bool has_problem(const struct queues *queues, const char *text)
{
    for (size_t i = 0; i < queues->problem_count; i++)
        if (strstr(queues->problems[i], text))
            return true;
    return false;
}

/* Whether trouble was told, and its end after it. */
static inline bool is_well_again(const struct queues *queues)
{
    return queues->problem_count > 1 && queues->problems[queues->problem_count - 1][0] == '\0';
}

/* What follows "Redis at ADDRESS ". */
static inline void assert_problem(const struct queues *queues, size_t number, const char *text)
{
    char expected[512];

    assert_true(queues->problem_count > number);
    (void)snprintf(expected, sizeof(expected), "Redis at %s %s", queues->server.socket, text);
    assert_string_equal(queues->problems[number], expected);
}

/* Each sentence was told once, and the end once, when all was over. */
static inline void assert_told_once(const struct queues *queues)
{
    assert_true(is_well_again(queues));
    for (size_t i = 0; i < queues->problem_count; i++)
        for (size_t j = i + 1; j < queues->problem_count; j++)
            assert_string_not_equal(queues->problems[i], queues->problems[j]);
}

/* One trouble, in one sentence, and its end. */
static inline void assert_told(const struct queues *queues, const char *text)
{
    assert_problem(queues, 0, text);
    assert_int_equal(queues->problem_count, 2);
    assert_string_equal(queues->problems[1], "");
}

/* Waits until the client and Redis have talked for a while, for what must not happen meanwhile. */
static inline void queues_let_pass(struct queues *queues, int64_t ms)
{
    int64_t end_ms = queues_now_ms() + ms;

    WAIT_UNTIL(queues, queues_now_ms() >= end_ms);
}
