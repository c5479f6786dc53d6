/* What the log's formats share: times and numbers. */
#include <float.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context/log/log_line.h"

static void times_are_written_with_microseconds(void **state)
{
    char text[64];
    struct log_line line;

    (void)state;
    log_line_init(&line, text, sizeof(text));
    log_line_append_time(&line, INT64_C(1763922000123456));
    text[line.used] = '\0';
    assert_string_equal(text, "2025-11-23T18:20:00.123456Z");
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
        cmocka_unit_test(times_are_written_with_microseconds),
        cmocka_unit_test(integers_are_whole),
        cmocka_unit_test(reals_have_as_many_digits_as_they_need),
        cmocka_unit_test(a_decimal_comma_of_the_locale_does_not_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
