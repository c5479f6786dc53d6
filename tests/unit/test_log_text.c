/* The log's text for people: exact lines, and nothing that could be mistaken for another one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context/log/log_text.h"
#include "tests/unit/log_support.h"

#define TIME "2026-11-23T20:00:00.000000Z"

struct expectation {
    struct log_record record;
    const char *line;
};

static void assert_lines(const struct expectation *expectations, size_t count, bool colour)
{
    for (size_t i = 0; i < count; i++) {
        struct log_record record = expectations[i].record;
        char line[4096];

        record.time_us = TIME_OF_RECORDS;
        size_t size = log_format_text(&record, colour, line, sizeof(line) - 1);
        line[size] = '\0';
        assert_string_equal(line, expectations[i].line);
        assert_int_equal(size, strlen(expectations[i].line));
    }
}

#define ASSERT_LINES(expectations_, colour_)                                                                           \
    assert_lines((expectations_), sizeof(expectations_) / sizeof((expectations_)[0]), (colour_))

#define JOB(...) .has_first_label = true, LABELS(__VA_ARGS__)

static void a_line_has_its_columns_in_order(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{.level = WEFT_INFO,
          MESSAGE("Fetching user 123"),
          JOB(VALUE("job_id", "req-A"), VALUE("type", "request"), VALUE("queue", "default"),
              VALUE_INTEGER("attempt", "1")),
          .node = "web1",
          .pid = 42,
          CONTEXT(VALUE("tenant", "acme")),
          FIELDS({.name = "user", .kind = WEFT_FIELD_TEXT, .text = "123"},
                 {.name = "ms", .kind = WEFT_FIELD_INTEGER, .integer = -5})},
         TIME " INFO  req-A Fetching user 123 type=request queue=default attempt=1 tenant=acme user=123 ms=-5\n"},
        {{.level = WEFT_DEBUG, MESSAGE("m"), JOB(VALUE("job_id", "1763922000123-0"))},
         TIME " DEBUG 1763922000123-0 m\n"},
        {{.level = WEFT_WARN, MESSAGE("m"), JOB(VALUE("job_id", "a"))}, TIME " WARN  a m\n"},
        {{.level = WEFT_ERROR, MESSAGE("m"), JOB(VALUE("job_id", "a"))}, TIME " ERROR a m\n"},
        {{.level = (enum weft_level)99, MESSAGE("m"), JOB(VALUE("job_id", "a"))}, TIME " ERROR a m\n"},
    };

    ASSERT_LINES(expectations, false);
}

static void a_line_without_a_job_has_a_dash(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{.level = WEFT_INFO, MESSAGE("ready")}, TIME " INFO  - ready\n"},
        {{.level = WEFT_INFO, MESSAGE("")}, TIME " INFO  - \n"},
        /* Another label is no job ID, even where it is the first that is present. */
        {{.level = WEFT_INFO, MESSAGE("ready"), LABELS(VALUE("queue", "default"))},
         TIME " INFO  - ready queue=default\n"},
    };

    ASSERT_LINES(expectations, false);
}

static void nothing_in_a_message_can_forge_a_line(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("a\n" TIME " ERROR - b\r\tc")}, TIME " DEBUG - a\\n" TIME " ERROR - b\\r\\tc\n"},
        {{MESSAGE("\x1b[31mred\x1b]0;title\x07")}, TIME " DEBUG - \\x1b[31mred\\x1b]0;title\\x07\n"},
        {{MESSAGE("nul\0nul\x7f")}, TIME " DEBUG - nul\\x00nul\\x7f\n"},
        {{MESSAGE("\xC2\x9B"
                  "31m\xC2\x85")},
         TIME " DEBUG - \\u009b31m\\u0085\n"},
        {{MESSAGE("\x9B"
                  "31m \xC0\x8A \xED\xA0\x80 \xF0\x9F\x98")},
         TIME " DEBUG - \\x9b31m \\xc0\\x8a \\xed\\xa0\\x80 \\xf0\\x9f\\x98\n"},
        {{MESSAGE("\xE2\x80\xA8\xE2\x80\xA9")}, TIME " DEBUG - \\u2028\\u2029\n"},
        {{MESSAGE("\xE2\x80\xAA\xE2\x80\xAB\xE2\x80\xAC\xE2\x80\xAD\xE2\x80\xAE")},
         TIME " DEBUG - \\u202a\\u202b\\u202c\\u202d\\u202e\n"},
        {{MESSAGE("\xE2\x81\xA5\xE2\x81\xA6\xE2\x81\xA7\xE2\x81\xA8\xE2\x81\xA9\xE2\x81\xAA")},
         TIME " DEBUG - \xE2\x81\xA5\\u2066\\u2067\\u2068\\u2069\xE2\x81\xAA\n"},
    };

    ASSERT_LINES(expectations, false);
}

static void a_harmless_message_stays_as_it_is(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("say \"cheese\" = C:\\temp")}, TIME " DEBUG - say \"cheese\" = C:\\temp\n"},
        {{MESSAGE("gr\xC3\xBC\xC3\x9F \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80 \xD7\xA9")},
         TIME " DEBUG - gr\xC3\xBC\xC3\x9F \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80 \xD7\xA9\n"},
    };

    ASSERT_LINES(expectations, false);
}

static void a_value_that_is_not_one_word_is_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } values[] = {
        {"plain", 5, "plain"},
        {"a:b/c,d;e'f", 11, "a:b/c,d;e'f"},
        {"\xC3\xBC", 2, "\xC3\xBC"},
        {"", 0, "\"\""},
        {"two words", 9, "\"two words\""},
        {"a=b", 3, "\"a=b\""},
        {"a\"b", 3, "\"a\\\"b\""},
        {"a\\b", 3, "\"a\\\\b\""},
        {"\" level=error \"", 15, "\"\\\" level=error \\\"\""},
        {"a\nb", 3, "\"a\\nb\""},
        {"\x1b[31m", 5, "\"\\x1b[31m\""},
        {"a\0b", 3, "\"a\\x00b\""},
        {"\xFF", 1, "\"\\xff\""},
        {"\xE2\x80\xAE", 3, "\"\\u202e\""},
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct log_value value = {.key = "k", .text = values[i].text, .size = values[i].size};
        const struct log_value key = {.key = values[i].text, .text = "v", .size = 1};
        struct log_record record = {.time_us = TIME_OF_RECORDS, MESSAGE("m"), .context = &value, .context_count = 1};
        char line[256], expected[256];

        line[log_format_text(&record, false, line, sizeof(line) - 1)] = '\0';
        (void)snprintf(expected, sizeof(expected), TIME " DEBUG - m k=%s\n", values[i].shown);
        assert_string_equal(line, expected);

        record.context = &key;
        if (strlen(values[i].text) == values[i].size) {
            line[log_format_text(&record, false, line, sizeof(line) - 1)] = '\0';
            (void)snprintf(expected, sizeof(expected), TIME " DEBUG - m %s=v\n", values[i].shown);
            assert_string_equal(line, expected);
        }

        record = (struct log_record){
            .time_us = TIME_OF_RECORDS, MESSAGE("m"), .labels = &value, .label_count = 1, .has_first_label = true};
        line[log_format_text(&record, false, line, sizeof(line) - 1)] = '\0';
        (void)snprintf(expected, sizeof(expected), TIME " DEBUG %s m\n", values[i].shown);
        assert_string_equal(line, expected);
    }
}

static void fields_of_every_kind_are_shown(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{MESSAGE("m"), FIELDS({.name = "a", .kind = WEFT_FIELD_TEXT, .text = "x\ny"},
                               {.name = "b\n", .kind = WEFT_FIELD_TEXT, .text = NULL},
                               {.name = NULL, .kind = WEFT_FIELD_INTEGER, .integer = INT64_MIN},
                               {.name = "d", .kind = WEFT_FIELD_REAL, .real = 0.1},
                               {.name = "e", .kind = WEFT_FIELD_REAL, .real = (double)NAN},
                               {.name = "f", .kind = WEFT_FIELD_REAL, .real = (double)INFINITY},
                               {.name = "g", .kind = WEFT_FIELD_REAL, .real = -(double)INFINITY})},
         TIME " DEBUG - m a=\"x\\ny\" \"b\\n\"=null \"\"=-9223372036854775808 d=0.1 e=nan f=inf g=-inf\n"},
    };

    ASSERT_LINES(expectations, false);
}

#define DIM(text_) "\x1b[2m" text_ "\x1b[0m"

static void colours_end_where_they_began(void **state)
{
    (void)state;
    const struct expectation expectations[] = {
        {{.level = WEFT_DEBUG, MESSAGE("m")}, DIM(TIME) " " DIM("DEBUG") " - m\n"},
        {{.level = WEFT_INFO, MESSAGE("m")}, DIM(TIME) " \x1b[32mINFO \x1b[0m - m\n"},
        {{.level = WEFT_WARN, MESSAGE("m")}, DIM(TIME) " \x1b[33mWARN \x1b[0m - m\n"},
        {{.level = WEFT_ERROR, MESSAGE("m\x1b[32m"), CONTEXT(VALUE("k", "a b"))},
         DIM(TIME) " \x1b[31mERROR\x1b[0m - m\\x1b[32m " DIM("k=") "\"a b\"\n"},
    };

    ASSERT_LINES(expectations, true);
}

/* Formats a line of the job with colours and gives what stands before and after its ID. */
static void format_job(const char *id, char colour[static 32])
{
    const struct log_value label = {.key = "job_id", .text = id, .size = strlen(id)};
    const struct log_record record = {
        .time_us = TIME_OF_RECORDS, MESSAGE("m"), .labels = &label, .label_count = 1, .has_first_label = true};
    const char head[] = DIM(TIME) " " DIM("DEBUG") " ";
    char line[256], rest[256];

    line[log_format_text(&record, true, line, sizeof(line) - 1)] = '\0';
    assert_memory_equal(line, head, sizeof(head) - 1);
    const char *start = line + sizeof(head) - 1;
    const char *end = strchr(start, 'm');
    assert_non_null(end);
    (void)snprintf(colour, 32, "%.*s", (int)(end + 1 - start), start);
    (void)snprintf(rest, sizeof(rest), "%s\x1b[0m m\n", id);
    assert_string_equal(end + 1, rest);
}

static void jobs_are_told_apart_by_colour(void **state)
{
    char first[32], again[32], other[32];
    int different = 0;

    (void)state;
    format_job("req-A", first);
    format_job("req-A", again);
    assert_string_equal(first, again);
    assert_memory_equal(first, "\x1b[38;5;", 7);
    for (char last = '0'; last <= '9'; last++) {
        const char id[] = {'1', '7', '6', '3', '9', '2', '2', '0', '0', '0', '1', '2', last, '-', '0', '\0'};
        format_job(id, other);
        different += strcmp(first, other) != 0;
    }
    assert_true(different >= 7);
}

static void a_line_that_does_not_fit_writes_nothing_beyond_its_buffer(void **state)
{
    const struct log_record record = {
        .time_us = TIME_OF_RECORDS,
        MESSAGE("a\nb\xFF\xC3\xA9"),
        JOB(VALUE("job_id", "req-A"), VALUE("type", "two words")),
        FIELDS({.name = "ratio", .kind = WEFT_FIELD_REAL, .real = 0.5}),
    };

    (void)state;
    for (int colour = 0; colour < 2; colour++) {
        char whole[512], line[512];
        size_t size = log_format_text(&record, colour, whole, sizeof(whole));

        assert_true(size > 0);
        for (size_t room = 0; room < size; room++) {
            memset(line, '#', sizeof(line));
            assert_int_equal(log_format_text(&record, colour, line, room), 0);
            for (size_t i = room; i < sizeof(line); i++)
                assert_int_equal(line[i], '#');
        }
        assert_int_equal(log_format_text(&record, colour, line, size), size);
        assert_memory_equal(line, whole, size);
    }
}

static void a_long_value_is_cut_and_says_so(void **state)
{
    char *text = filled(32768 + 1, 'x');
    char *line = malloc(LOG_LINE_MAX);
    const struct log_record record = {
        .time_us = TIME_OF_RECORDS,
        MESSAGE("m"),
        FIELDS({.name = "k", .kind = WEFT_FIELD_TEXT, .text = text},
               {.name = "j", .kind = WEFT_FIELD_TEXT, .text = text + 1}),
    };
    const char head[] = TIME " DEBUG - m k=\"";
    const char middle[] = "... [cut]\" j=";

    (void)state;
    assert_non_null(line);
    assert_int_equal(log_format_text(&record, false, line, LOG_LINE_MAX),
                     sizeof(head) - 1 + 32768 + sizeof(middle) - 1 + 32768 + 1);
    assert_memory_equal(line, head, sizeof(head) - 1);
    assert_memory_equal(line + sizeof(head) - 1 + 32768, middle, sizeof(middle) - 1);
    free(line);
    free(text);
}

/* Everything at its largest, and each byte of it escaped. */
static void every_line_fits_the_largest_buffer(void **state)
{
    char *controls = filled(65536, '\x01');
    char *line = malloc(LOG_LINE_MAX);
    struct log_value labels[LOG_LABELS_MAX];
    struct log_value context[LOG_CONTEXT_MAX];
    struct weft_field fields[300];
    const char end[] = " ... [cut]\n";

    (void)state;
    assert_non_null(line);
    for (size_t i = 0; i < LOG_LABELS_MAX; i++)
        labels[i] = (struct log_value){.key = "label", .text = controls, .size = 65536};
    for (size_t i = 0; i < LOG_CONTEXT_MAX; i++)
        context[i] = (struct log_value){.key = "key", .text = controls, .size = 512};
    for (size_t i = 0; i < 300; i++)
        fields[i] = WEFT_TEXT(controls, controls);
    for (size_t label_count = 0; label_count <= LOG_LABELS_MAX; label_count++) {
        const struct log_record record = {
            .message = controls,
            .message_size = 8192,
            .labels = labels,
            .label_count = label_count,
            .has_first_label = label_count % 2 == 1,
            .context = context,
            .context_count = LOG_CONTEXT_MAX,
            .fields = fields,
            .field_count = 300,
        };
        size_t size = log_format_text(&record, true, line, LOG_LINE_MAX);

        assert_true(size > LOG_LINE_MAX / 2);
        assert_memory_equal(line + size - (sizeof(end) - 1), end, sizeof(end) - 1);
        assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
        assert_null(memchr(line, '\x01', size));
    }
    free(line);
    free(controls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_columns_in_order),
        cmocka_unit_test(a_line_without_a_job_has_a_dash),
        cmocka_unit_test(nothing_in_a_message_can_forge_a_line),
        cmocka_unit_test(a_harmless_message_stays_as_it_is),
        cmocka_unit_test(a_value_that_is_not_one_word_is_quoted),
        cmocka_unit_test(fields_of_every_kind_are_shown),
        cmocka_unit_test(colours_end_where_they_began),
        cmocka_unit_test(jobs_are_told_apart_by_colour),
        cmocka_unit_test(a_line_that_does_not_fit_writes_nothing_beyond_its_buffer),
        cmocka_unit_test(a_long_value_is_cut_and_says_so),
        cmocka_unit_test(every_line_fits_the_largest_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
