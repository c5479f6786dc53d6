/* What weft ps makes of answers, which may be anything, and how it shows them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/cli/ps_answer.h"
#include "daemon/cli/ps_show.h"

#define CONSUMER "web.1.2.0123456789abcdef.01234567.10-1a.ff-2b"

/* ---- Answers ---- */

static int read_answer(const char *text, json_t *jobs, int64_t *ret_left_out)
{
    return ps_answer_read(text, strlen(text), jobs, ret_left_out);
}

static void jobs_of_an_answer_get_their_workers_node_and_pid(void **state)
{
    json_t *jobs = json_array();
    int64_t left_out = 0;

    (void)state;
    assert_int_equal(
        read_answer("{\"node\":\"web1\",\"pid\":7,\"left_out\":3,\"jobs\":[{\"id\":\"a\"},{\"id\":\"b\"}]}", jobs,
                    &left_out),
        0);
    assert_int_equal(left_out, 3);
    char *text = json_dumps(jobs, JSON_COMPACT);
    assert_string_equal(text,
                        "[{\"id\":\"a\",\"node\":\"web1\",\"pid\":7},{\"id\":\"b\",\"node\":\"web1\",\"pid\":7}]");
    free(text);
    json_decref(jobs);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"node\":\"web1\",\"pid\":7}",
        "{\"node\":\"web1\",\"pid\":7,\"jobs\":{}}",
        "{\"node\":\"web1\",\"jobs\":[]}",
        "{\"pid\":7,\"jobs\":[]}",
        "{\"node\":1,\"pid\":7,\"jobs\":[]}",
        "{\"node\":\"web1\",\"pid\":\"7\",\"jobs\":[]}",
        "{\"node\":\"web1\",\"pid\":7,\"jobs\":[1]}",
        "{\"node\":\"web1\",\"pid\":7,\"jobs\":[]",
    };
    int64_t left_out = -5;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *jobs = json_array();

        assert_int_equal(read_answer(texts[i], jobs, &left_out), -EBADMSG);
        assert_int_equal(json_array_size(jobs), 0);
        json_decref(jobs);
    }
    assert_int_equal(left_out, -5);
}

/* ---- Those who do not answer ---- */

static redisReply text_reply(const char *text)
{
    return (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)text, .len = strlen(text)};
}

static redisReply number_reply(long long number)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = number};
}

/* Substitutes for a silent worker that holds the jobs "a" and "b", and gives the objects as text. */
static char *substitute(const char *consumer, const char *id, int64_t *ret_silent_ms)
{
    struct ps_silence silence = {.consumer = consumer, .queue = "q", .id = id, .lease_ms = 30000};
    redisReply values[2][4] = {{text_reply("a"), text_reply("t"), number_reply(1), number_reply(2500)},
                               {text_reply("b"), text_reply("\xff"), number_reply(3), number_reply(60)}};
    redisReply *fields[2][4], jobs[2], *job_list[2], list, silent = number_reply(4000), end = text_reply("");
    redisReply *all[3] = {&silent, &list, &end};
    json_t *found = json_array();

    for (size_t i = 0; i < 2; i++) {
        for (size_t field = 0; field < 4; field++)
            fields[i][field] = &values[i][field];
        jobs[i] = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = 4, .element = fields[i]};
        job_list[i] = &jobs[i];
    }
    list = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = 2, .element = job_list};
    redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = all};
    assert_int_equal(ps_answer_substitute(&silence, &reply, found), 0);
    *ret_silent_ms = silence.silent_ms;
    char *text = json_dumps(found, JSON_COMPACT);
    json_decref(found);
    return text;
}

static void jobs_of_a_silent_worker_are_made_of_what_redis_knows(void **state)
{
    int64_t silent_ms;
    char *text = substitute(CONSUMER, NULL, &silent_ms);

    (void)state;
    assert_int_equal(silent_ms, 4000);
    assert_string_equal(
        text, "[{\"id\":\"a\",\"type\":\"t\",\"queue\":\"q\",\"state\":\"unanswered\",\"attempt\":1,\"for_ms\":2500,"
              "\"node\":\"web.1\",\"pid\":255,\"silent_ms\":4000},"
              "{\"id\":\"b\",\"type\":{\"base64\":\"/w==\"},\"queue\":\"q\",\"state\":\"unanswered\",\"attempt\":3,"
              "\"for_ms\":60,\"node\":\"web.1\",\"pid\":255,\"silent_ms\":4000}]");
    free(text);
}

static void only_the_job_that_is_asked_about_is_taken(void **state)
{
    int64_t silent_ms;
    char *text = substitute("somebody else's", "b", &silent_ms);

    (void)state;
    assert_non_null(strstr(text, "[{\"id\":\"b\""));
    assert_non_null(strstr(text, "\"node\":\"somebody else's\",\"pid\":0"));
    free(text);
    text = substitute(CONSUMER, "c", &silent_ms);
    assert_string_equal(text, "[]");
    free(text);
}

static void replies_that_no_script_of_ours_gives_are_refused(void **state)
{
    struct ps_silence silence = {.consumer = CONSUMER, .queue = "q", .lease_ms = 30000};
    redisReply number = number_reply(1), text = text_reply("x");
    redisReply *wrong[] = {&number, &number, &text}, *swapped[] = {&text, &number, &text};
    redisReply list = {.type = REDIS_REPLY_ARRAY, .elements = 1, .element = wrong}, *both[] = {&number, &list, &text};
    redisReply none = {.type = REDIS_REPLY_ARRAY}, *endless[] = {&number, &none, &number};
    const redisReply replies[] = {
        number,
        {.type = REDIS_REPLY_ARRAY},
        {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = wrong},
        {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = swapped},
        {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = both},
        {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = endless},
        {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both},
    };
    json_t *jobs = json_array();

    (void)state;
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        assert_int_equal(ps_answer_substitute(&silence, &replies[i], jobs), -EBADMSG);
    assert_int_equal(json_array_size(jobs), 0);
    json_decref(jobs);
}

/* ---- Durations ---- */

static void durations_have_the_unit_that_fits_them(void **state)
{
    static const struct {
        int64_t ms;
        const char *words;
    } cases[] = {
        {0, "0 ms"},          {999, "999 ms"},
        {1000, "1 s"},        {1050, "1 s"},
        {1250, "1.2 s"},      {9999, "9.9 s"},
        {12345, "12 s"},      {59999, "59 s"},
        {60000, "1 min"},     {90000, "1.5 min"},
        {3599999, "59 min"},  {3600000, "1 h"},
        {86399999, "23 h"},   {86400000, "1 d"},
        {130000000, "1.5 d"}, {INT64_C(864000000000), "10000 d"},
        {-5, "-5 ms"},        {INT64_MAX, "106751991167 d"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char words[PS_DURATION_SIZE];

        ps_show_duration(cases[i].ms, words);
        assert_string_equal(words, cases[i].words);
    }
}

/* ---- The table ---- */

/* What is printed of the jobs that the JSON text lists; valid until the next call. */
static const char *show(const char *jobs_text)
{
    static char shown[4096];
    char path[] = "/tmp/weft-test-ps-XXXXXX";
    int file = mkstemp(path), before = dup(STDOUT_FILENO);
    json_t *jobs = json_loads(jobs_text, 0, NULL);
    struct table table;

    assert_non_null(jobs);
    ps_show_begin(&table);
    for (size_t i = 0; i < json_array_size(jobs); i++)
        assert_int_equal(ps_show_job(&table, json_array_get(jobs, i)), 0);
    assert_int_equal(fflush(stdout), 0);
    assert_true(dup2(file, STDOUT_FILENO) >= 0);
    table_print(&table);
    assert_int_equal(fflush(stdout), 0);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    ssize_t size = pread(file, shown, sizeof(shown) - 1, 0);
    shown[size > 0 ? size : 0] = '\0';
    table_done(&table);
    json_decref(jobs);
    assert_int_equal(close(file) + close(before) + unlink(path), 0);
    return shown;
}

#define TITLES "ID  TYPE  QUEUE  STATE    ATTEMPT  FOR    WORKER\n"
#define ROW    "j   t     q      running  1        1.2 s  web1/7\n"

/* A job of which `members` say more. */
#define JOB(members_)                                                                                                  \
    "[{\"id\":\"j\",\"type\":\"t\",\"queue\":\"q\",\"state\":\"running\",\"attempt\":1,\"for_ms\":1234,\"node\":"      \
    "\"web1\","                                                                                                        \
    "\"pid\":7" members_ "}]"

static void waits_are_shown_below_their_job_the_oldest_first(void **state)
{
    (void)state;
    assert_string_equal(show(JOB("")), TITLES ROW);
    assert_string_equal(
        show(JOB(",\"operations\":[{\"kind\":\"fd\",\"what\":\"fd 12, read\",\"for_ms\":40,\"at\":\"audit "
                 "(p.c:3)\",\"task\":\"audit\",\"handler\":\"load\"},{\"kind\":\"sleep\",\"what\":\"sleep, 9 ms "
                 "left\",\"for_ms\":1200,\"at\":\"load (p.c:9)\",\"handler\":\"load\"}]")),
        TITLES ROW "    awaits sleep, 9 ms left (for 1.2 s) at load (p.c:9) in handler load\n"
                   "    awaits fd 12, read (for 40 ms) at audit (p.c:3) in task audit\n");
}

static void tasks_are_shown_where_they_await_nothing(void **state)
{
    (void)state;
    assert_string_equal(
        show(JOB(",\"operations\":[{\"id\":3,\"trigger\":2,\"kind\":\"join\",\"what\":\"join audit\",\"for_ms\":5},"
                 "{\"id\":2,\"kind\":\"job\",\"what\":\"job t\"},"
                 "{\"id\":1,\"trigger\":2,\"kind\":\"task\",\"at\":\"load (p.c:9)\",\"task\":\"audit\"}],"
                 "\"operations_left_out\":4")),
        TITLES ROW "    is ready to go on, started at load (p.c:9) in task audit\n"
                   "    awaits join audit (for 5 ms)\n"
                   "    and 4 more\n");
}

static void stacks_have_a_line_for_each_operation(void **state)
{
    (void)state;
    assert_string_equal(
        show(JOB(",\"operations\":[{\"kind\":\"call\",\"what\":\"call, ready\",\"for_ms\":5,\"stack\":\"call at a "
                 "(p.c:1), started by task b at c (p.c:2), started by job t\"}]")),
        TITLES ROW "    awaits call, ready (for 5 ms)\n"
                   "        started by task b at c (p.c:2)\n"
                   "        started by job t\n");
}

static void long_lines_go_on_in_the_next(void **state)
{
    (void)state;
    assert_string_equal(
        show(JOB(",\"operations\":[{\"kind\":\"http\",\"what\":\"http GET "
                 "a-host-with-a-long-name.example.org:8080/and/a/path\","
                 "\"for_ms\":5,\"at\":\"ask_for_the_profile (profile.c:1042)\",\"handler\":\"load_profile\"}]")),
        TITLES ROW "    awaits http GET a-host-with-a-long-name.example.org:8080/and/a/path (for 5 ms)\n"
                   "        at ask_for_the_profile (profile.c:1042) in handler load_profile\n");
}

static void what_is_missing_or_would_steer_a_terminal_is_shown_all_the_same(void **state)
{
    (void)state;
    assert_string_equal(show("[{}]"), "ID  TYPE  QUEUE  STATE  ATTEMPT  FOR  WORKER\n"
                                      "-   -     -      -      0        -    -/0\n");
    assert_string_equal(show("[{\"id\":5,\"operations\":[{},7]}]"), "ID  TYPE  QUEUE  STATE  ATTEMPT  FOR  WORKER\n"
                                                                    "-   -     -      -      0        -    -/0\n"
                                                                    "    awaits - (for 0 ms)\n"
                                                                    "    awaits - (for 0 ms)\n");
    assert_string_equal(show("[{\"id\":\"\\u001b[31m\",\"operations\":[{\"what\":\"a\\nb\"}]}]"),
                        "ID        TYPE  QUEUE  STATE  ATTEMPT  FOR  WORKER\n"
                        "\\x1b[31m  -     -      -      0        -    -/0\n"
                        "    awaits a\\nb (for 0 ms)\n");
}

static void what_outlived_its_job_says_what_is_left_of_it(void **state)
{
    (void)state;
    assert_non_null(strstr(show("[{\"state\":\"outlived\",\"contexts\":2,\"operations\":[{\"what\":\"timer\"}]}]"),
                           "\n    has ended; 2 contexts of it are alive:\n    awaits timer (for 0 ms)\n"));
    assert_non_null(strstr(show("[{\"state\":\"outlived\",\"contexts\":1,\"operations\":[]}]"),
                           "\n    has ended; 1 context of it is alive, captured by its own code\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_an_answer_get_their_workers_node_and_pid),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(jobs_of_a_silent_worker_are_made_of_what_redis_knows),
        cmocka_unit_test(only_the_job_that_is_asked_about_is_taken),
        cmocka_unit_test(replies_that_no_script_of_ours_gives_are_refused),
        cmocka_unit_test(durations_have_the_unit_that_fits_them),
        cmocka_unit_test(waits_are_shown_below_their_job_the_oldest_first),
        cmocka_unit_test(tasks_are_shown_where_they_await_nothing),
        cmocka_unit_test(stacks_have_a_line_for_each_operation),
        cmocka_unit_test(long_lines_go_on_in_the_next),
        cmocka_unit_test(what_is_missing_or_would_steer_a_terminal_is_shown_all_the_same),
        cmocka_unit_test(what_outlived_its_job_says_what_is_left_of_it),
    };

    return cmocka_run_group_tests_name("ps", tests, NULL, NULL);
}
