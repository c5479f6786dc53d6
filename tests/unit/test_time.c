/* Clocks, and how times are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "context/time.h"

static void the_steady_clock_does_not_go_back(void **state)
{
    int64_t last = time_steady_us();

    (void)state;
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = time_steady_us();

        assert_true(now >= last);
        last = now;
    }
    assert_true(time_steady_ms() >= last / 1000);
}

static void the_coarse_clock_is_the_steady_one_a_little_late(void **state)
{
    int64_t coarse = time_coarse_us(), steady = time_steady_us();

    (void)state;
    assert_true(coarse > 0 && coarse <= steady);
}

static void unix_time_is_that_of_the_c_library(void **state)
{
    int64_t before = (int64_t)time(NULL), ms = time_unix_ms(), us = time_unix_us();

    (void)state;
    /* time() reads the coarse clock, and may still be in the second before. */
    assert_in_range(ms / 1000, before, before + 60);
    assert_true(us / 1000 >= ms && us / 1000 < ms + 60000);
}

static void times_are_written_in_utc_with_microseconds(void **state)
{
    static const struct {
        int64_t time_us;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {INT64_C(951782399999999), "2000-02-28T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(951868800000000), "2000-03-01T00:00:00.000000Z"},
        {INT64_C(1709164800500000), "2024-02-29T00:00:00.500000Z"},
        {INT64_C(1763922000123456), "2025-11-23T18:20:00.123456Z"},
        {INT64_C(4107542399000000), "2100-02-28T23:59:59.000000Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
        {-1, "1970-01-01T00:00:00.000000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000000Z"},
    };
    struct time_text text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        assert_string_equal(time_format_us(&text, times[i].time_us), times[i].text);
}

static void times_are_written_in_utc_with_milliseconds(void **state)
{
    struct time_text text = {0};

    (void)state;
    assert_string_equal(time_format_ms(&text, 0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_format_ms(&text, INT64_C(1763922000123)), "2025-11-23T18:20:00.123Z");
    assert_string_equal(time_format_ms(&text, INT64_C(1763922000999)), "2025-11-23T18:20:00.999Z");
    assert_string_equal(time_format_ms(&text, INT64_C(1763922001000)), "2025-11-23T18:20:01.000Z");
    assert_string_equal(time_format_ms(&text, INT64_C(1709208000007)), "2024-02-29T12:00:00.007Z");
    assert_string_equal(time_format_ms(&text, -5), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_format_ms(&text, INT64_MAX), "9999-12-31T23:59:59.999Z");
}

static void a_text_is_used_for_either_precision(void **state)
{
    struct time_text text = {0};

    (void)state;
    assert_string_equal(time_format_us(&text, INT64_C(1763922000123456)), "2025-11-23T18:20:00.123456Z");
    assert_string_equal(time_format_ms(&text, INT64_C(1763922000789)), "2025-11-23T18:20:00.789Z");
    assert_int_equal(strlen(text.text), TIME_MS_LENGTH);
    assert_string_equal(time_format_us(&text, INT64_C(1763922000000009)), "2025-11-23T18:20:00.000009Z");
    assert_int_equal(strlen(text.text), TIME_US_LENGTH);
}

static void times_agree_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932897; day += 13) {
        const time_t seconds = day * 86400 + day % 86400;
        struct time_text text = {0};
        char expected[64];
        struct tm parts;

        assert_non_null(gmtime_r(&seconds, &parts));
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", &parts) > 0);
        assert_string_equal(time_format_us(&text, (int64_t)seconds * 1000000), expected);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steady_clock_does_not_go_back),
        cmocka_unit_test(the_coarse_clock_is_the_steady_one_a_little_late),
        cmocka_unit_test(unix_time_is_that_of_the_c_library),
        cmocka_unit_test(times_are_written_in_utc_with_microseconds),
        cmocka_unit_test(times_are_written_in_utc_with_milliseconds),
        cmocka_unit_test(a_text_is_used_for_either_precision),
        cmocka_unit_test(times_agree_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
