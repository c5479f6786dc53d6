/* Retry-After as web services, and strangers, write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/units.h"

#define UNTOUCHED INT64_C(-42)
#define NOW_MS    INT64_C(1763922000500) /* Sun, 23 Nov 2025 18:20:00.500 GMT */

#define SECOND INT64_C(1000)
#define DAY    (24 * 60 * 60 * SECOND)

/* Parses a copy without a NUL, so that a sanitizer sees every byte read too many. */
static int parse_at(int64_t now_ms, const char *text, size_t size, int64_t *ret_ms)
{
    char *copy = malloc(size ? size : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, text, size);
    r = units_parse_retry_after(copy, size, now_ms, ret_ms);
    free(copy);
    return r;
}

static void assert_delay_at(int64_t now_ms, const char *text, int64_t expected)
{
    int64_t delay = UNTOUCHED;
    int r = parse_at(now_ms, text, strlen(text), &delay);

    if (r != 0 || delay != expected)
        fail_msg("\"%s\" gives %d and %lld instead of %lld", text, r, (long long)delay, (long long)expected);
}

static void assert_delay(const char *text, int64_t expected)
{
    assert_delay_at(NOW_MS, text, expected);
}

static void assert_error(const char *text, size_t size, int expected)
{
    int64_t delay = UNTOUCHED;
    int r = parse_at(NOW_MS, text, size, &delay);

    if (r != expected)
        fail_msg("\"%s\" gives %d instead of %d", text, r, expected);
    assert_true(delay == UNTOUCHED);
}

static void seconds_are_read(void **state)
{
    (void)state;
    assert_delay("0", 0);
    assert_delay("120", 120 * SECOND);
    assert_delay("0120", 120 * SECOND);
    assert_delay("000", 0);
    assert_delay("315360000", 3650 * DAY);
}

static void dates_are_read_in_every_form_of_http(void **state)
{
    (void)state;
    assert_delay("Sun, 23 Nov 2025 18:20:01 GMT", 500);
    assert_delay("Mon, 24 Nov 2025 18:20:00 GMT", DAY - 500);
    assert_delay("Monday, 24-Nov-25 18:20:00 GMT", DAY - 500);
    assert_delay("Mon Nov 24 18:20:00 2025", DAY - 500);
    assert_delay("Mon Dec  1 18:20:00 2025", 8 * DAY - 500);
    assert_delay("Mon Dec 01 18:20:00 2025", 8 * DAY - 500);
    assert_delay("Thu, 29 Feb 2028 18:20:00 GMT", 828 * DAY - 500);
    assert_delay("Fri, 31 Dec 2027 23:59:60 GMT", INT64_C(1830297600000) - NOW_MS);
}

static void a_date_that_has_passed_is_no_delay(void **state)
{
    (void)state;
    assert_delay("Sun, 06 Nov 1994 08:49:37 GMT", 0);
    assert_delay("Sunday, 06-Nov-94 08:49:37 GMT", 0);
    assert_delay("Sun Nov  6 08:49:37 1994", 0);
    assert_delay("Sun, 23 Nov 2025 18:20:00 GMT", 0);
    assert_delay("Sat, 01 Jan 0000 00:00:00 GMT", 0);
}

/* RFC 9110: what seems to be more than 50 years ahead is the latest such year that is past. */
static void a_year_of_two_digits_is_not_more_than_50_years_ahead(void **state)
{
    const int64_t new_year_2090 = INT64_C(3786912000000);

    (void)state;
    assert_delay("Saturday, 01-Jan-76 00:00:00 GMT", 0);
    assert_error("Tuesday, 01-Jan-75 00:00:00 GMT", strlen("Tuesday, 01-Jan-75 00:00:00 GMT"), -ERANGE);
    assert_delay_at(new_year_2090, "Monday, 02-Jan-90 00:00:00 GMT", DAY);
    assert_delay_at(new_year_2090, "Saturday, 01-Jan-00 00:00:00 GMT", 0);
}

static void more_than_ten_years_are_out_of_range(void **state)
{
    static const char *const texts[] = {
        "315360001",
        "18446744073709551616",
        "99999999999999999999999999",
        "Thu, 22 Nov 2035 18:20:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_error(texts[i], strlen(texts[i]), -ERANGE);
    assert_delay("Wed, 21 Nov 2035 18:20:00 GMT", 3650 * DAY - 500);
}

static void what_is_neither_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "-1",
        "+1",
        "1.5",
        "1s",
        " 1",
        "1 ",
        "soon",
        "2026-11-23T20:00:00Z",
        "Sun, 23 Nov 2025 18:20:01",
        "Sun, 23 Nov 2025 18:20:01 UTC",
        "Sun, 23 Nov 2025 18:20:01 GMT ",
        " Sun, 23 Nov 2025 18:20:01 GMT",
        "sun, 23 nov 2025 18:20:01 gmt",
        "Son, 23 Nov 2025 18:20:01 GMT",
        "Sunday, 23 Nov 2025 18:20:01 GMT",
        "Sun, 23-Nov-25 18:20:01 GMT",
        "Sun, 3 Nov 2025 18:20:01 GMT",
        "Sun, 00 Nov 2025 18:20:01 GMT",
        "Sun, 31 Nov 2025 18:20:01 GMT",
        "Sun, 29 Feb 2026 18:20:01 GMT",
        "Sun, 23 Nov 25 18:20:01 GMT",
        "Sun, 23 Nov 2025 24:00:00 GMT",
        "Sun, 23 Nov 2025 18:20:60 GMT",
        "Sun Nov 3 18:20:01 2025",
        "Sun Nov   3 18:20:01 2025",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_error(texts[i], strlen(texts[i]), -EINVAL);
    assert_error("120\0", 4, -EINVAL);
    assert_error("Sun, 23 Nov 2025 18:20:01 GMT\0", 30, -EINVAL);
}

static void no_beginning_of_a_date_is_a_date(void **state)
{
    static const char *const texts[] = {
        "Sun, 23 Nov 2025 18:20:01 GMT",
        "Sunday, 23-Nov-25 18:20:01 GMT",
        "Sun Nov 23 18:20:01 2025",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t size = 0; size < strlen(texts[i]); size++)
            assert_error(texts[i], size, -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_read),
        cmocka_unit_test(dates_are_read_in_every_form_of_http),
        cmocka_unit_test(a_date_that_has_passed_is_no_delay),
        cmocka_unit_test(a_year_of_two_digits_is_not_more_than_50_years_ahead),
        cmocka_unit_test(more_than_ten_years_are_out_of_range),
        cmocka_unit_test(what_is_neither_is_refused),
        cmocka_unit_test(no_beginning_of_a_date_is_a_date),
    };

    return cmocka_run_group_tests_name("retry_after", tests, NULL, NULL);
}
