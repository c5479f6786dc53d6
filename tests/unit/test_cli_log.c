/* Lines of a log read back: which are about a job, and how they look then. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context/log/log_json.h"
#include "context/log/log_text.h"
#include "daemon/cli/log_match.h"
#include "daemon/cli/log_record.h"
#include "tests/unit/log_support.h"

#define TIME "2026-11-23T20:00:00.000000Z"
#define HEAD "{\"ts\":\"" TIME "\",\"level\":\"info\",\"msg\":\"m\","

/* ---- Matching ---- */

static bool matches(const char *line, const char *id)
{
    int64_t time_us;

    return log_match_line(line, strlen(line), &(struct log_filter){.id = id}, &time_us);
}

static void a_line_of_json_is_about_its_job_and_its_root(void **state)
{
    (void)state;
    assert_true(matches(HEAD "\"job_id\":\"A\"}", "A"));
    assert_true(matches(HEAD "\"job_id\":\"B\",\"type\":\"t\",\"root_id\":\"A\"}", "A"));
    assert_true(matches(HEAD "\"job_id\":\"B\",\"type\":\"t\",\"root_id\":\"A\"}", "B"));
    assert_false(matches(HEAD "\"job_id\":\"AB\"}", "A"));
    assert_false(matches(HEAD "\"job_id\":\"B\"}", "A"));
    assert_false(matches(HEAD "\"pid\":1}", "A"));
}

static void what_a_job_says_does_not_make_a_line_another_jobs(void **state)
{
    (void)state;
    assert_false(matches(HEAD "\"job_id\":\"B\",\"ctx\":{\"job_id\":\"A\",\"request_id\":\"A\"}}", "A"));
    assert_false(matches(HEAD "\"job_id\":\"B\",\"data\":{\"root_id\":\"A\"}}", "A"));
    assert_false(
        matches("{\"ts\":\"" TIME "\",\"level\":\"info\",\"msg\":\"\\\"job_id\\\":\\\"A\\\"\",\"job_id\":\"B\"}", "A"));
    assert_false(matches(TIME " INFO  B A says A\\n" TIME " INFO  A forged", "A"));
}

static void a_line_of_text_is_about_no_job(void **state)
{
    (void)state;
    assert_false(matches(TIME " INFO  A m type=t", "A"));
    assert_false(matches(TIME " WARN  B m root_id=A", "A"));
    assert_false(matches(TIME " INFO  B m x_id\":\"A\"", "A"));
}

static void what_is_no_line_of_a_log_is_about_nothing(void **state)
{
    (void)state;
    assert_false(matches("", "A"));
    assert_false(matches("A", "A"));
    assert_false(matches("{", "A"));
    assert_false(matches("weftd: A was killed at its 2nd attempt to run", "A"));
    assert_false(matches(HEAD "\"job_id\":\"A\"", "A"));
    assert_false(matches("{\"level\":\"info\",\"job_id\":\"A\"}", "A"));
    assert_false(matches("{\"ts\":\"yesterday\",\"job_id\":\"A\"}", "A"));
    assert_false(matches("{\"ts\":1,\"job_id\":\"A\"}", "A"));
    assert_false(matches("2026-11-23T20:00:00Z INFO  A this is not how weft writes times", "A"));
}

static void times_are_read_to_the_microsecond(void **state)
{
    (void)state;
    const char *text = "2026-11-23T20:00:00.012345Z";
    int64_t time_us = 0;

    assert_int_equal(log_match_time(text, strlen(text), &time_us), 0);
    assert_true(time_us == TIME_OF_RECORDS + 12345);
    assert_int_equal(log_match_time(text, strlen(text) - 1, &time_us), -EINVAL);
    assert_int_equal(log_match_time("2026-11-23T20:00:00.01234xZ", 27, &time_us), -EINVAL);
    assert_int_equal(log_match_time("2026-13-23T20:00:00.012345Z", 27, &time_us), -EINVAL);
}

/* ---- The way back to a record ---- */

/* What the logger would have written on a terminal is what is made of the line that it has written to the file. */
static void assert_survives(const struct log_record *record)
{
    char json[4096], text[4096], again[4096];
    struct log_record_copy copy;
    size_t json_size = log_format_json(record, json, sizeof(json));
    size_t text_size = log_format_text(record, true, text, sizeof(text));
    json_t *object = log_match_parse(json, json_size);

    assert_true(json_size > 0 && text_size > 0);
    assert_non_null(object);
    assert_int_equal(log_record_init(&copy, object), 0);
    assert_int_equal(log_format_text(&copy.record, true, again, sizeof(again)), text_size);
    assert_memory_equal(again, text, text_size);
    log_record_done(&copy);
    json_decref(object);
}

static void a_line_of_json_gives_the_line_of_text_it_would_have_been(void **state)
{
    const struct log_record records[] = {
        {.level = WEFT_INFO, MESSAGE("weftd ready"), .node = "web1", .pid = 1},
        {.level = WEFT_WARN,
         MESSAGE("a \"quoted\" \\ message \x1b[31m \xE2\x80\xAE \n with \0 everything"),
         .has_first_label = true,
         LABELS(VALUE("job_id", "req-A"), VALUE("type", "request"), VALUE("queue", "default"),
                VALUE_INTEGER("attempt", "12"), VALUE("task", "audit"), VALUE("root_id", "req-0")),
         .node = "web1",
         .pid = 4711,
         CONTEXT(VALUE("tenant", "ac me"), VALUE("nul", "a\0b"), VALUE("empty", "")),
         FIELDS({.name = "text", .kind = WEFT_FIELD_TEXT, .text = "x=y"},
                {.name = "number", .kind = WEFT_FIELD_INTEGER, .integer = INT64_MIN},
                {.name = "real", .kind = WEFT_FIELD_REAL, .real = 0.1},
                {.name = "large", .kind = WEFT_FIELD_REAL, .real = 1e300},
                {.name = "nothing", .kind = WEFT_FIELD_TEXT, .text = NULL})},
        {.level = WEFT_ERROR, MESSAGE(""), LABELS(VALUE("task", "poll"), VALUE("handler", "h"))},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        struct log_record record = records[i];

        record.time_us = TIME_OF_RECORDS + 999999;
        assert_survives(&record);
    }
}

static void assert_no_record(const char *line)
{
    json_t *object = log_match_parse(line, strlen(line));
    struct log_record_copy copy;

    assert_non_null(object);
    assert_int_equal(log_record_init(&copy, object), -EINVAL);
    json_decref(object);
}

static void objects_of_others_are_no_records(void **state)
{
    (void)state;
    assert_no_record("{}");
    assert_no_record("{\"ts\":\"" TIME "\"}");
    assert_no_record("{\"msg\":\"m\"}");
    assert_no_record("{\"ts\":\"" TIME "\",\"msg\":1}");
    assert_no_record("{\"ts\":\"" TIME "\",\"msg\":\"m\",\"data\":{\"a\":1},\"level\":\"fatal\"}");
    assert_null(log_match_parse("[]", 2));
    assert_null(log_match_parse("{} {}", 5));
}

static void a_line_with_more_than_there_is_room_for_is_cut(void **state)
{
    json_t *object =
        json_pack("{s:s, s:s, s:{s:i}, s:{s:b}}", "ts", TIME, "msg", "m", "ctx", "number", 1, "data", "truth", 1);
    struct log_record_copy copy;
    char name[16];

    (void)state;
    for (int i = 0; i < 2 * LOG_LABELS_MAX; i++) {
        snprintf(name, sizeof(name), "label%d", i);
        json_object_set_new(object, name, json_string("x"));
    }
    for (int i = 0; i < 2 * LOG_CONTEXT_MAX; i++) {
        snprintf(name, sizeof(name), "ctx%d", i);
        json_object_set_new(json_object_get(object, "ctx"), name, json_string("x"));
    }
    assert_int_equal(log_record_init(&copy, object), 0);
    assert_int_equal(copy.record.label_count, LOG_LABELS_MAX);
    assert_int_equal(copy.record.context_count, LOG_CONTEXT_MAX);
    assert_int_equal(copy.record.field_count, 1);
    log_record_done(&copy);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_json_is_about_its_job_and_its_root),
        cmocka_unit_test(what_a_job_says_does_not_make_a_line_another_jobs),
        cmocka_unit_test(a_line_of_text_is_about_no_job),
        cmocka_unit_test(what_is_no_line_of_a_log_is_about_nothing),
        cmocka_unit_test(times_are_read_to_the_microsecond),
        cmocka_unit_test(a_line_of_json_gives_the_line_of_text_it_would_have_been),
        cmocka_unit_test(objects_of_others_are_no_records),
        cmocka_unit_test(a_line_with_more_than_there_is_room_for_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
