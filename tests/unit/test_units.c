/* Durations, sizes, times and numbers as people, and strangers, write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/message/units.h"

#define UNTOUCHED INT64_C(-42)

#define SECOND INT64_C(1000)
#define DAY    (24 * 60 * 60 * SECOND)

typedef int parse_fn(const char *text, size_t size, int64_t *ret_value);

struct example {
    const char *text;
    int64_t value;
};

/* Parses a copy without a NUL, so that a sanitizer sees every byte read too many. */
static int parse_copy(parse_fn *parse, const char *text, size_t size, int64_t *ret_value)
{
    char *copy = malloc(size ? size : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, text, size);
    r = parse(copy, size, ret_value);
    free(copy);
    return r;
}

static void assert_value(parse_fn *parse, const char *text, int64_t expected)
{
    int64_t value = UNTOUCHED;
    int r = parse_copy(parse, text, strlen(text), &value);

    if (r != 0 || value != expected)
        fail_msg("\"%s\" gives %d and %lld instead of %lld", text, r, (long long)value, (long long)expected);
}

static void assert_error(parse_fn *parse, const char *text, size_t size, int expected)
{
    int64_t value = UNTOUCHED;
    int r = parse_copy(parse, text, size, &value);

    if (r != expected)
        fail_msg("\"%s\" gives %d instead of %d", text, r, expected);
    assert_true(value == UNTOUCHED);
}

#define ASSERT_VALUES(parse_, examples_)                                                                               \
    for (size_t i_ = 0; i_ < sizeof(examples_) / sizeof((examples_)[0]); i_++)                                         \
    assert_value((parse_), (examples_)[i_].text, (examples_)[i_].value)

#define ASSERT_ERRORS(parse_, texts_, error_)                                                                          \
    for (size_t i_ = 0; i_ < sizeof(texts_) / sizeof((texts_)[0]); i_++)                                               \
    assert_error((parse_), (texts_)[i_], strlen((texts_)[i_]), (error_))

static void durations_are_read_in_every_unit(void **state)
{
    static const struct example examples[] = {
        {"250ms", 250},
        {"30s", 30 * SECOND},
        {"5m", 300 * SECOND},
        {"1h", 3600 * SECOND},
        {"7d", 7 * DAY},
        {"0", 0},
        {"0s", 0},
        {"0d", 0},
        {"1.5s", 1500},
        {"0.25h", 900 * SECOND},
        {"1.001s", 1001},
        {"2.5ms", 3},
        {"0.001ms", 1},
        {"1.0s", 1000},
        {"0.000001d", 87},
        {"0.0000000001s", 1},
        {"0.000016400511d", 1418},
        {"1.00000000000000000000001s", 1001},
        {"3650d", 3650 * DAY},
        {"1.1000000000000s", 1100},
        {"87600h", 3650 * DAY},
    };

    (void)state;
    ASSERT_VALUES(units_parse_duration, examples);
}

static void unreadable_durations_are_refused(void **state)
{
    static const char *const texts[] = {
        "",          "30",
        "s",         "ms",
        "1.5",       "0.0",
        "1.s",       ".5s",
        "1..5s",     "1.5.5s",
        "-1s",       "+1s",
        " 1s",       "1s ",
        "1 s",       "1S",
        "1MS",       "1sec",
        "1ss",       "1s1m",
        "1h30m",     "0x10s",
        "1e3s",      "infs",
        "nans",      "1,5s",
        "1_000s",    "007s",
        "00s",       "1w",
        "1y",        "1\ns",
        "\xc2\xb5s", "99999999999999999999x",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_duration, texts, -EINVAL);
    assert_error(units_parse_duration, "1s\0", 3, -EINVAL);
    assert_int_equal(units_parse_duration(NULL, 0, &(int64_t){0}), -EINVAL);
    assert_error(units_parse_duration, "1\0s", 3, -EINVAL);
}

static void durations_over_ten_years_are_out_of_range(void **state)
{
    static const char *const texts[] = {
        "3651d",
        "3650.000000001d",
        "3650.00000000000000000001d",
        "87601h",
        "9223372036854775807ms",
        "9223372036854775808ms",
        "18446744073709551616ms",
        "18446744073709551615d",
        "99999999999999999999999999999999999999s",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_duration, texts, -ERANGE);
}

static void sizes_are_read_in_every_unit(void **state)
{
    static const struct example examples[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"64KiB", 65536},
        {"1MiB", 1048576},
        {"2GiB", INT64_C(2147483648)},
        {"1024GiB", INT64_C(1) << 40},
        {"1099511627776", INT64_C(1) << 40},
    };

    (void)state;
    ASSERT_VALUES(units_parse_size, examples);
}

static void unreadable_sizes_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "B", "KiB", "-1", "+1", "1.5MiB", "1KB", "1kib", "1K", "1M", "1 MiB", "1MiB ", "0x10", "01", "1e6", "1TiB",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_size, texts, -EINVAL);
    assert_error(units_parse_size, "1\0", 2, -EINVAL);
}

static void sizes_over_one_tebibyte_are_out_of_range(void **state)
{
    static const char *const texts[] = {
        "1099511627777",           "1025GiB", "17179869184GiB", "18446744073709551615", "18446744073709551616",
        "99999999999999999999GiB",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_size, texts, -ERANGE);
}

static void times_are_read_from_rfc_3339(void **state)
{
    static const struct example examples[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T20:00:00Z", INT64_C(1795464000000)},
        {"2026-11-23t20:00:00z", INT64_C(1795464000000)},
        {"2026-11-23T21:00:00+01:00", INT64_C(1795464000000)},
        {"2026-11-23T14:30:00-05:30", INT64_C(1795464000000)},
        {"2026-11-24T19:59:00+23:59", INT64_C(1795464000000)},
        {"2026-11-23T20:00:00-00:00", INT64_C(1795464000000)},
        {"2026-11-23T20:00:00.5Z", INT64_C(1795464000500)},
        {"2026-11-23T20:00:00.123456789012Z", INT64_C(1795464000123)},
        {"2026-11-23T20:00:00.9999+00:00", INT64_C(1795464000999)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"2000-02-29T12:00:00Z", INT64_C(951825600000)},
        {"1969-12-31T23:00:00-01:00", 0},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    };

    (void)state;
    ASSERT_VALUES(units_parse_time, examples);
}

static void times_are_read_from_unix_seconds(void **state)
{
    static const struct example examples[] = {
        {"0", 0},
        {"1763922000", INT64_C(1763922000000)},
        {"1763922000.5", INT64_C(1763922000500)},
        {"1763922000.0009", INT64_C(1763922000000)},
        {"253402300799", INT64_C(253402300799000)},
    };

    (void)state;
    ASSERT_VALUES(units_parse_time, examples);
}

static void leap_seconds_are_the_next_second(void **state)
{
    static const struct example examples[] = {
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
        {"2016-12-31T23:59:60.25Z", INT64_C(1483228800250)},
        {"2017-01-01T00:59:60+01:00", INT64_C(1483228800000)},
        {"2017-01-01T05:29:60+05:30", INT64_C(1483228800000)},
    };

    (void)state;
    ASSERT_VALUES(units_parse_time, examples);
}

static void impossible_times_are_refused(void **state)
{
    static const char *const texts[] = {
        "2026-02-29T00:00:00Z",      "2026-02-30T00:00:00Z",      "2100-02-29T00:00:00Z",      "2026-04-31T00:00:00Z",
        "2026-00-10T00:00:00Z",      "2026-13-10T00:00:00Z",      "2026-01-00T00:00:00Z",      "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",      "2026-01-01T00:60:00Z",      "2026-01-01T00:00:61Z",      "2026-01-01T12:00:60Z",
        "2026-01-01T23:59:60+01:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+01:60",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_time, texts, -EINVAL);
}

static void unreadable_times_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "now",
        "tomorrow",
        "2026-11-23",
        "2026-11-23T20:00:00",
        "2026-11-23 20:00:00Z",
        "2026-11-23T20:00Z",
        "2026-11-23T20:00:00.Z",
        "2026-11-23T20:00:00,5Z",
        "2026-11-23T20:00:00Zulu",
        "2026-11-23T20:00:00Z ",
        " 2026-11-23T20:00:00Z",
        "2026-11-23T20:00:00+0100",
        "2026-11-23T20:00:00+01",
        "2026-11-23T20:00:00+1:00",
        "2026-1-23T20:00:00Z",
        "26-11-23T20:00:00Z",
        "12026-11-23T20:00:00Z",
        "2026-11-23T2:00:00Z",
        "2026/11/23T20:00:00Z",
        "2026-11-23T20-00-00Z",
        "+2026-11-23T20:00:00Z",
        "-1",
        "+1763922000",
        "1763922000s",
        "1763922000.",
        ".5",
        "0x10",
        "1e9",
        "01763922000",
        "1763922000 ",
        "1763-",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_time, texts, -EINVAL);
    assert_error(units_parse_time, "2026-11-23T20:00:00\0", 20, -EINVAL);
    assert_error(units_parse_time, "1763922000\0", 11, -EINVAL);
}

static void no_beginning_of_a_time_is_a_time(void **state)
{
    static const char text[] = "2026-11-23T20:00:00.5+01:00";

    (void)state;
    for (size_t size = 5; size < sizeof(text) - 1; size++)
        assert_error(units_parse_time, text, size, -EINVAL);
}

static void times_before_1970_and_after_9999_are_out_of_range(void **state)
{
    static const char *const texts[] = {
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "253402300800",
        "1763922000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999.5",
    };

    (void)state;
    ASSERT_ERRORS(units_parse_time, texts, -ERANGE);
}

static int parse_any_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, INT64_MIN, INT64_MAX, ret_value);
}

static int parse_small_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, 3, 10, ret_value);
}

static void integers_are_read_up_to_the_bounds(void **state)
{
    static const struct example any[] = {{"0", 0}, {"7", 7}, {"1000", 1000}, {"9223372036854775807", INT64_MAX}};
    static const struct example small[] = {{"3", 3}, {"10", 10}};

    (void)state;
    ASSERT_VALUES(parse_any_integer, any);
    ASSERT_VALUES(parse_small_integer, small);
}

static void unreadable_integers_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "010", "00", "1_000", "1,000", "one", "\xd9\xa3",
    };

    (void)state;
    ASSERT_ERRORS(parse_any_integer, texts, -EINVAL);
    assert_error(parse_any_integer, "1\0", 2, -EINVAL);
}

static void integers_beyond_the_bounds_are_out_of_range(void **state)
{
    static const char *const any[] = {"9223372036854775808", "18446744073709551615", "18446744073709551616",
                                      "36893488147419103233"};
    static const char *const small[] = {"0", "2", "11", "4294967299"};

    (void)state;
    ASSERT_ERRORS(parse_any_integer, any, -ERANGE);
    ASSERT_ERRORS(parse_small_integer, small, -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_in_every_unit),
        cmocka_unit_test(unreadable_durations_are_refused),
        cmocka_unit_test(durations_over_ten_years_are_out_of_range),
        cmocka_unit_test(sizes_are_read_in_every_unit),
        cmocka_unit_test(unreadable_sizes_are_refused),
        cmocka_unit_test(sizes_over_one_tebibyte_are_out_of_range),
        cmocka_unit_test(times_are_read_from_rfc_3339),
        cmocka_unit_test(times_are_read_from_unix_seconds),
        cmocka_unit_test(leap_seconds_are_the_next_second),
        cmocka_unit_test(impossible_times_are_refused),
        cmocka_unit_test(unreadable_times_are_refused),
        cmocka_unit_test(no_beginning_of_a_time_is_a_time),
        cmocka_unit_test(times_before_1970_and_after_9999_are_out_of_range),
        cmocka_unit_test(integers_are_read_up_to_the_bounds),
        cmocka_unit_test(unreadable_integers_are_refused),
        cmocka_unit_test(integers_beyond_the_bounds_are_out_of_range),
    };

    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
