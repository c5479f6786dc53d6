/* What the log's formats share: times and numbers. */
#include <float.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "context/log_line.h"

static void times_are_utc_with_microseconds(void **state)
{
    (void)state;
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

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char text[64];
        struct log_line line;

        log_line_init(&line, text, sizeof(text));
        log_line_append_time(&line, times[i].time_us);
        text[line.used] = '\0';
        assert_string_equal(text, times[i].text);
    }
}

static void times_agree_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932897; day += 13) {
        const time_t time = day * 86400 + day % 86400;
        char text[64], expected[64];
        struct log_line line;
        struct tm parts;

        assert_non_null(gmtime_r(&time, &parts));
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", &parts) > 0);
        log_line_init(&line, text, sizeof(text));
        log_line_append_time(&line, (int64_t)time * 1000000);
        text[line.used] = '\0';
        assert_string_equal(text, expected);
    }
}

static void integers_are_whole(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } integers[] = {
        {0, "0"}, {-1, "-1"}, {10, "10"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"},
    };

    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        char text[64];
        struct log_line line;

        log_line_init(&line, text, sizeof(text));
        log_line_append_integer(&line, integers[i].value);
        text[line.used] = '\0';
        assert_string_equal(text, integers[i].text);
    }
}

static void assert_real(double value, const char *expected)
{
    char text[64];
    struct log_line line;

    log_line_init(&line, text, sizeof(text));
    log_line_append_real(&line, value);
    text[line.used] = '\0';
    assert_string_equal(text, expected);
}

static void reals_have_as_many_digits_as_they_need(void **state)
{
    (void)state;
    assert_real(0.0, "0");
    assert_real(-0.0, "-0");
    assert_real(0.1, "0.1");
    assert_real(1.0, "1");
    assert_real(-2.5, "-2.5");
    assert_real(1.0 / 3, "0.3333333333333333");
    assert_real(0.1 + 0.2, "0.30000000000000004");
    assert_real(1e300, "1e+300");
    assert_real(-1e-7, "-1e-07");
    assert_real(DBL_MAX, "1.7976931348623157e+308");
    assert_real(5e-324, "4.94065645841247e-324");
}

/* Skipped where no such locale is installed. */
static void a_decimal_comma_of_the_locale_does_not_show(void **state)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "fa_IR.UTF-8", "ps_AF.UTF-8", "de_DE"};
    bool found = false;

    (void)state;
    for (size_t i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {
        if (!setlocale(LC_NUMERIC, locales[i]))
            continue;
        found = true;
        assert_real(-2.5e-300, "-2.5e-300");
        assert_real(0.1 + 0.2, "0.30000000000000004");
        assert_real(3.0, "3");
    }
    (void)setlocale(LC_NUMERIC, "C");
    if (!found)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_utc_with_microseconds),
        cmocka_unit_test(times_agree_with_the_c_library),
        cmocka_unit_test(integers_are_whole),
        cmocka_unit_test(reals_have_as_many_digits_as_they_need),
        cmocka_unit_test(a_decimal_comma_of_the_locale_does_not_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
