/*
 * Durations, sizes, times and numbers: each parser reads each input, and gives what its reference gives. What was read
 * is written again and read again.
 */
#include <inttypes.h>

#include "queue/message/units.h"
#include "tests/fuzz/support.h"
#include "tests/fuzz/units_reference.h"

static int parse_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, INT64_MIN, INT64_MAX, ret_value);
}

static int parse_small_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, 3, 10, ret_value);
}

static struct result read_integer(const char *text)
{
    return reference_integer(text, INT64_MIN, INT64_MAX);
}

static struct result read_small_integer(const char *text)
{
    return reference_integer(text, 3, 10);
}

static void write_duration(char *text, size_t size, int64_t value)
{
    snprintf(text, size, "%" PRId64 "ms", value);
}

static void write_number(char *text, size_t size, int64_t value)
{
    snprintf(text, size, "%" PRId64, value);
}

static void write_time(char *text, size_t size, int64_t value)
{
    time_t seconds = value / 1000;
    struct tm tm;

    REQUIRE(gmtime_r(&seconds, &tm), "a time that cannot be written: %" PRId64, value);
    snprintf(text, size, "%d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec, (int)(value % 1000));
}

static const struct parser {
    const char *name;
    int (*parse)(const char *text, size_t size, int64_t *ret_value);
    struct result (*reference)(const char *text);
    void (*write)(char *text, size_t size, int64_t value);
} parsers[] = {
    {"duration", units_parse_duration, reference_duration, write_duration},
    {"size", units_parse_size, reference_size, write_number},
    {"time", units_parse_time, reference_time, write_time},
    {"integer", parse_integer, read_integer, write_number},
    {"small integer", parse_small_integer, read_small_integer, write_number},
};

static struct result parse(const struct parser *parser, const char *text, size_t size)
{
    struct result result = {0, UNTOUCHED};

    result.error = parser->parse(text, size, &result.value);
    return result;
}

static void check(const struct parser *parser, const char *bytes, size_t size, const char *text)
{
    struct result result = parse(parser, bytes, size);
    /* No form has a NUL in it. */
    struct result expected = strlen(text) == size ? parser->reference(text) : reference_fail(-EINVAL);
    char again[64];

    REQUIRE(result.error == expected.error && result.value == expected.value,
            "the %s \"%s\" gives %d and %" PRId64 " instead of %d and %" PRId64, parser->name, text, result.error,
            result.value, expected.error, expected.value);
    if (result.error != 0)
        return;
    parser->write(again, sizeof(again), result.value);
    expected = parse(parser, again, strlen(again));
    REQUIRE(expected.error == 0 && expected.value == result.value, "the %s \"%s\" is not that of \"%s\"", parser->name,
            again, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *copy = fuzz_copy(bytes, size);
    char *text = fuzz_copy_text(bytes, size);

    for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++)
        check(&parsers[i], copy, size, text);
    free(copy);
    free(text);
    return 0;
}
