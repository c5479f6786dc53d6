/* The log's JSON: exact lines, and lines that jansson reads back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "context/log/log_json.h"
#include "tests/unit/log_support.h"

#define HEAD(level_, message_)                                                                                         \
    "{\"ts\":\"2026-11-23T20:00:00.000000Z\",\"level\":\"" level_ "\",\"msg\":\"" message_ "\""

struct expectation {
    struct log_record record;
    const char *line;
};

static void assert_lines(const struct expectation *expectations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct log_record record = expectations[i].record;
        char line[4096];

        if (record.time_us == 0)
            record.time_us = TIME_OF_RECORDS;
        if (record.pid == 0)
            record.pid = 42;
        size_t size = log_format_json(&record, line, sizeof(line) - 1);
        line[size] = '\0';
        assert_string_equal(line, expectations[i].line);
        assert_int_equal(size, strlen(expectations[i].line));
    }
}

#define ASSERT_LINES(expectations_) assert_lines((expectations_), sizeof(expectations_) / sizeof((expectations_)[0]))

static void a_line_has_its_keys_in_order(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{.level = WEFT_INFO, MESSAGE("at the root")}, HEAD("info", "at the root") ",\"pid\":42}\n"},
        {{.level = WEFT_DEBUG, MESSAGE("")}, HEAD("debug", "") ",\"pid\":42}\n"},
        {{.level = WEFT_WARN, MESSAGE("w"), .node = "web1"}, HEAD("warn", "w") ",\"node\":\"web1\",\"pid\":42}\n"},
        {{.level = WEFT_ERROR,
          MESSAGE("order stored"),
          LABELS(VALUE("job_id", "req-A"), VALUE("type", "order"), VALUE_INTEGER("attempt", "2")),
          .has_first_label = true,
          .node = "web1",
          .pid = 2147483647,
          CONTEXT(VALUE("tenant", "acme"), VALUE("request_id", "7")),
          FIELDS({.name = "order", .kind = WEFT_FIELD_TEXT, .text = "A1"},
                 {.name = "lines", .kind = WEFT_FIELD_INTEGER, .integer = -3})},
         HEAD("error", "order stored") ",\"job_id\":\"req-A\",\"type\":\"order\",\"attempt\":2,\"node\":\"web1\","
                                       "\"pid\":2147483647,\"ctx\":{\"tenant\":\"acme\",\"request_id\":\"7\"},"
                                       "\"data\":{\"order\":\"A1\",\"lines\":-3}}\n"},
    };

    ASSERT_LINES(expectations);
}

static void a_level_that_does_not_exist_is_an_error(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{.level = (enum weft_level)99, MESSAGE("m")}, HEAD("error", "m") ",\"pid\":42}\n"},
    };

    ASSERT_LINES(expectations);
}

static void nothing_in_a_message_can_forge_a_line(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("a\nb\tc\rd")}, HEAD("debug", "a\\nb\\tc\\rd") ",\"pid\":42}\n"},
        {{MESSAGE("\"}\n{\"level\":\"error")}, HEAD("debug", "\\\"}\\n{\\\"level\\\":\\\"error") ",\"pid\":42}\n"},
        {{MESSAGE("back\\slash")}, HEAD("debug", "back\\\\slash") ",\"pid\":42}\n"},
        {{MESSAGE("\x1b[31mred\x7f")}, HEAD("debug", "\\u001b[31mred\\u007f") ",\"pid\":42}\n"},
        {{MESSAGE("nul\0nul\x01\x1f")}, HEAD("debug", "nul\\u0000nul\\u0001\\u001f") ",\"pid\":42}\n"},
        {{MESSAGE("\xC2\x80\xC2\x9F\xC2\xA0")}, HEAD("debug", "\\u0080\\u009f\xC2\xA0") ",\"pid\":42}\n"},
        {{MESSAGE("\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xA9")},
         HEAD("debug", "\xE2\x80\xA7\\u2028\\u2029") ",\"pid\":42}\n"},
        {{MESSAGE("\xE2\x80\xAE\xE2\x81\xA6")}, HEAD("debug", "\\u202e\\u2066") ",\"pid\":42}\n"},
    };

    ASSERT_LINES(expectations);
}

static void nothing_in_keys_and_values_can_forge_a_line(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("m"), LABELS(VALUE("job_id", "a\nb\0c"), VALUE("x\"y", "\xFF")), .node = "n\"1"},
         HEAD("debug",
              "m") ",\"job_id\":\"a\\nb\\u0000c\",\"x\\\"y\":\"\xEF\xBF\xBD\",\"node\":\"n\\\"1\",\"pid\":42}\n"},
        {{MESSAGE("m"), CONTEXT(VALUE("ten\"ant", "a\",\"level\":\"error"), VALUE("nul", "\0"))},
         HEAD("debug",
              "m") ",\"pid\":42,\"ctx\":{\"ten\\\"ant\":\"a\\\",\\\"level\\\":\\\"error\",\"nul\":\"\\u0000\"}}\n"},
        {{MESSAGE("m"), FIELDS({.name = "k\n\xC0", .kind = WEFT_FIELD_TEXT, .text = "\x1b[2J\xE2\x80\xA8"},
                               {.name = NULL, .kind = WEFT_FIELD_TEXT, .text = NULL})},
         HEAD("debug", "m") ",\"pid\":42,\"data\":{\"k\\n\xEF\xBF\xBD\":\"\\u001b[2J\\u2028\",\"\":null}}\n"},
    };

    ASSERT_LINES(expectations);
}

#define REPLACED "\xEF\xBF\xBD"

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        /* Valid at the edges of each length. */
        {{MESSAGE("\xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF")},
         HEAD("debug",
              "\xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF") ",\"pid\":42}\n"},
        /* Stray continuation bytes and bytes that never occur. */
        {{MESSAGE("\x80\xBF \xFE \xFF")}, HEAD("debug", REPLACED REPLACED " " REPLACED " " REPLACED) ",\"pid\":42}\n"},
        /* Overlong. */
        {{MESSAGE("\xC0\x8A \xC1\xBF")}, HEAD("debug", REPLACED REPLACED " " REPLACED REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xE0\x80\x8A")}, HEAD("debug", REPLACED REPLACED REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xF0\x80\x80\x8A")}, HEAD("debug", REPLACED REPLACED REPLACED REPLACED) ",\"pid\":42}\n"},
        /* A surrogate, and beyond U+10FFFF. */
        {{MESSAGE("\xED\xA0\x80")}, HEAD("debug", REPLACED REPLACED REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xF4\x90\x80\x80")}, HEAD("debug", REPLACED REPLACED REPLACED REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xF5\x80")}, HEAD("debug", REPLACED REPLACED) ",\"pid\":42}\n"},
        /* Truncated, at the end and before other text: one mark for what there is of the character. */
        {{MESSAGE("\xC3")}, HEAD("debug", REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xE2\x82")}, HEAD("debug", REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xF0\x9F\x98")}, HEAD("debug", REPLACED) ",\"pid\":42}\n"},
        {{MESSAGE("\xF0\x9F\x98\"\n")}, HEAD("debug", REPLACED "\\\"\\n") ",\"pid\":42}\n"},
        {{MESSAGE("\xE2\x82\xC3\xA9")}, HEAD("debug", REPLACED "\xC3\xA9") ",\"pid\":42}\n"},
    };

    ASSERT_LINES(expectations);
}

static void an_integer_is_bare_only_when_every_reader_takes_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } integers[] = {
        {"0", "0"},         {"7", "7"},         {"123456789012345678", "123456789012345678"},
        {"", "\"\""},       {"-1", "\"-1\""},   {"1234567890123456789", "\"1234567890123456789\""},
        {"1e3", "\"1e3\""}, {"007", "\"007\""}, {"1,\"x\":2", "\"1,\\\"x\\\":2\""},
    };

    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        const struct log_value label = {
            .key = "n", .text = integers[i].text, .size = strlen(integers[i].text), .integer = true};
        const struct log_record record = {
            .time_us = TIME_OF_RECORDS, MESSAGE("m"), .labels = &label, .label_count = 1, .pid = 1};
        char line[256], expected[256];

        size_t size = log_format_json(&record, line, sizeof(line) - 1);
        line[size] = '\0';
        (void)snprintf(expected, sizeof(expected), HEAD("debug", "m") ",\"n\":%s,\"pid\":1}\n", integers[i].shown);
        assert_string_equal(line, expected);
    }
}

static void a_number_that_json_does_not_have_is_null(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("m"), FIELDS({.name = "a", .kind = WEFT_FIELD_REAL, .real = 0.5},
                               {.name = "b", .kind = WEFT_FIELD_REAL, .real = (double)NAN},
                               {.name = "c", .kind = WEFT_FIELD_REAL, .real = (double)INFINITY},
                               {.name = "d", .kind = WEFT_FIELD_REAL, .real = -(double)INFINITY},
                               {.name = "e", .kind = WEFT_FIELD_INTEGER, .integer = INT64_MIN})},
         HEAD("debug", "m") ",\"pid\":42,\"data\":{\"a\":0.5,\"b\":null,\"c\":null,\"d\":null,"
                            "\"e\":-9223372036854775808}}\n"},
    };

    ASSERT_LINES(expectations);
}

static void a_line_that_does_not_fit_writes_nothing_beyond_its_buffer(void **state)
{
    const struct log_record record = {
        .time_us = TIME_OF_RECORDS,
        MESSAGE("say \"cheese\"\n"),
        LABELS(VALUE("job_id", "req-A"), VALUE_INTEGER("attempt", "1")),
        .node = "web1",
        .pid = 42,
        CONTEXT(VALUE("tenant", "\xFF\xC3\xA9")),
        FIELDS({.name = "ratio", .kind = WEFT_FIELD_REAL, .real = 0.5}),
    };
    char whole[512], line[512];
    size_t size = log_format_json(&record, whole, sizeof(whole));

    (void)state;
    assert_true(size > 0);
    for (size_t room = 0; room < size; room++) {
        memset(line, '#', sizeof(line));
        assert_int_equal(log_format_json(&record, line, room), 0);
        for (size_t i = room; i < sizeof(line); i++)
            assert_int_equal(line[i], '#');
    }
    assert_int_equal(log_format_json(&record, line, size), size);
    assert_memory_equal(line, whole, size);
}

/* ---- Read back ---- */

static json_t *read_back(const struct log_record *record)
{
    char *line = malloc(LOG_LINE_MAX);
    assert_non_null(line);
    size_t size = log_format_json(record, line, LOG_LINE_MAX);
    json_error_t error;

    assert_true(size > 0);
    assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
    json_t *object = json_loadb(line, size - 1, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    free(line);
    if (!object)
        fail_msg("%s at column %d", error.text, error.column);
    return object;
}

static void assert_text(const json_t *object, const char *key, const char *text, size_t size)
{
    const json_t *value = json_object_get(object, key);

    assert_non_null(value);
    assert_int_equal(json_string_length(value), size);
    assert_memory_equal(json_string_value(value), text, size);
}

static void every_byte_survives_a_reader(void **state)
{
    char ascii[128];
    const char mixed[] = "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 \xC2\x85 \xE2\x80\xA8 \xE2\x80\xAE \xEF\xBF\xBF";
    for (size_t i = 0; i < sizeof(ascii); i++)
        ascii[i] = (char)i;

    (void)state;
    const struct log_record record = {
        .message = ascii,
        .message_size = sizeof(ascii),
        .pid = 7,
        LABELS({.key = "job_id", .text = ascii, .size = sizeof(ascii)}),
        CONTEXT({.key = "mixed", .text = mixed, .size = sizeof(mixed) - 1}),
        FIELDS({.name = "mixed", .kind = WEFT_FIELD_TEXT, .text = mixed}),
    };
    json_t *object = read_back(&record);

    assert_text(object, "msg", ascii, sizeof(ascii));
    assert_text(object, "job_id", ascii, sizeof(ascii));
    assert_text(json_object_get(object, "ctx"), "mixed", mixed, sizeof(mixed) - 1);
    assert_text(json_object_get(object, "data"), "mixed", mixed, sizeof(mixed) - 1);
    assert_int_equal(json_integer_value(json_object_get(object, "pid")), 7);
    json_decref(object);
}

static void random_bytes_always_make_valid_json(void **state)
{
    (void)state;
    srandom(1);
    for (int round = 0; round < 500; round++) {
        char noise[200];
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)(random() % 4 ? random() : 0xE2);
        noise[sizeof(noise) - 1] = '\0';
        const struct log_record record = {
            .message = noise,
            .message_size = sizeof(noise),
            FIELDS({.name = noise, .kind = WEFT_FIELD_TEXT, .text = noise + 100}),
        };
        json_decref(read_back(&record));
    }
}

static void a_long_value_is_cut_and_says_so(void **state)
{
    char *text = filled(32768 + 1, 'x');
    memcpy(text + 32767, "\xC3\xA9", 2);

    (void)state;
    const struct log_record record = {
        MESSAGE("m"),
        FIELDS({.name = "long", .kind = WEFT_FIELD_TEXT, .text = text},
               {.name = "just", .kind = WEFT_FIELD_TEXT, .text = text + 1}),
    };
    json_t *object = read_back(&record);
    const json_t *data = json_object_get(object, "data");

    /* The character that lies across the limit goes as a whole. */
    assert_int_equal(json_string_length(json_object_get(data, "long")), 32767 + strlen("... [cut]"));
    assert_string_equal(json_string_value(json_object_get(data, "long")) + 32767, "... [cut]");
    assert_int_equal(json_string_length(json_object_get(data, "just")), 32768);
    json_decref(object);
    free(text);
}

/* Everything at its largest, and each byte of it escaped sixfold. */
static void every_line_fits_the_largest_buffer(void **state)
{
    char *controls = filled(65536, '\x01');
    struct log_value labels[LOG_LABELS_MAX];
    struct log_value context[LOG_CONTEXT_MAX];
    struct weft_field fields[300];

    (void)state;
    for (size_t i = 0; i < LOG_LABELS_MAX; i++)
        labels[i] = (struct log_value){.key = "label", .text = controls, .size = 65536};
    for (size_t i = 0; i < LOG_CONTEXT_MAX; i++)
        context[i] = (struct log_value){.key = "key", .text = controls, .size = 512};
    for (size_t i = 0; i < 300; i++)
        fields[i] = WEFT_TEXT(controls + 65536 - i, controls);

    struct log_record record = {
        .message = controls,
        .message_size = 8192,
        .context = context,
        .context_count = LOG_CONTEXT_MAX,
        .fields = fields,
        .field_count = 300,
    };
    char *line = malloc(LOG_LINE_MAX);
    assert_non_null(line);
    for (size_t label_count = 0; label_count <= LOG_LABELS_MAX; label_count += LOG_LABELS_MAX) {
        record.labels = labels;
        record.label_count = label_count;
        size_t size = log_format_json(&record, line, LOG_LINE_MAX);
        json_t *object = json_loadb(line, size, JSON_ALLOW_NUL, NULL);

        assert_non_null(object);
        assert_string_equal(json_string_value(json_object_get(json_object_get(object, "data"), "...")), "[cut]");
        json_decref(object);
    }
    free(line);
    free(controls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_keys_in_order),
        cmocka_unit_test(a_level_that_does_not_exist_is_an_error),
        cmocka_unit_test(nothing_in_a_message_can_forge_a_line),
        cmocka_unit_test(nothing_in_keys_and_values_can_forge_a_line),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(an_integer_is_bare_only_when_every_reader_takes_it),
        cmocka_unit_test(a_number_that_json_does_not_have_is_null),
        cmocka_unit_test(a_line_that_does_not_fit_writes_nothing_beyond_its_buffer),
        cmocka_unit_test(every_byte_survives_a_reader),
        cmocka_unit_test(random_bytes_always_make_valid_json),
        cmocka_unit_test(a_long_value_is_cut_and_says_so),
        cmocka_unit_test(every_line_fits_the_largest_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
