/* What each target makes of text from strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "context/escape.h"

/* Everything that any target escapes, between letters. */
#define TEXT                                                                                                           \
    "a\n\t\r\x01\x7f\"\\ =b"                                                                                           \
    "\xC3\xAB\xF0\x9F\x99\x82\xC2\x9B\xE2\x80\xA8\xE2\x80\xAE\xE2\x81\xA6"                                             \
    "\x80\xE2\x80z"

static void assert_escaped(const struct escape_target *target, const char *text, size_t size, const char *expected)
{
    char shown[512];
    size_t used = 0;

    for (size_t at = 0; at < size;) {
        char escape[ESCAPE_SIZE_MAX];
        size_t plain = escape_count_plain_for(target, text + at, size - at), escape_size = 0;

        memcpy(shown + used, text + at, plain);
        used += plain;
        at += plain;
        if (at < size)
            at += escape_write(target, text + at, size - at, escape, &escape_size);
        assert_true(escape_size <= sizeof(escape));
        memcpy(shown + used, escape, escape_size);
        used += escape_size;
    }
    shown[used] = '\0';
    assert_string_equal(shown, expected);
}

static void each_target_escapes_what_harms_it(void **state)
{
    const size_t size = sizeof(TEXT) - 1;

    (void)state;
    assert_escaped(&escape_json, TEXT, size,
                   "a\\n\\t\\r\\u0001\\u007f\\\"\\\\ =b\xC3\xAB\xF0\x9F\x99\x82\\u009b\\u2028\\u202e\\u2066"
                   "\xEF\xBF\xBD\xEF\xBF\xBDz");
    assert_escaped(&escape_terminal, TEXT, size,
                   "a\\n\\t\\r\\x01\\x7f\"\\ =b\xC3\xAB\xF0\x9F\x99\x82\\u009b\\u2028\\u202e\\u2066\\x80\\xe2\\x80z");
    assert_escaped(
        &escape_quoted, TEXT, size,
        "a\\n\\t\\r\\x01\\x7f\\\"\\\\ =b\xC3\xAB\xF0\x9F\x99\x82\\u009b\\u2028\\u202e\\u2066\\x80\\xe2\\x80z");
    assert_escaped(
        &escape_sentence, TEXT, size,
        "a\\x0a\\x09\\x0d\\x01\\x7f\\\"\\\\ =b\xC3\xAB\xF0\x9F\x99\x82\\xc2\\x9b\\xe2\\x80\\xa8\\xe2\\x80\\xae"
        "\\xe2\\x81\\xa6\\x80\\xe2\\x80z");
    assert_escaped(&escape_ascii, TEXT, size,
                   "a\\x0a\\x09\\x0d\\x01\\x7f\\\"\\\\ =b\\xc3\\xab\\xf0\\x9f\\x99\\x82\\xc2\\x9b\\xe2\\x80\\xa8"
                   "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\x80\\xe2\\x80z");
}

static void a_nul_is_a_control_character(void **state)
{
    (void)state;
    assert_escaped(&escape_json, "\0", 1, "\\u0000");
    assert_escaped(&escape_terminal, "\0", 1, "\\x00");
    assert_escaped(&escape_ascii, "\0", 1, "\\x00");
}

static void separators_are_told_where_they_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(escape_count_plain("a b", 3, ESCAPE_HARMFUL), 3);
    assert_int_equal(escape_count_plain("a b", 3, ESCAPE_SEPARATORS), 1);
    assert_int_equal(escape_count_plain("ab=", 3, ESCAPE_SEPARATORS), 2);
    assert_int_equal(escape_count_plain("\xC3\xAB", 2, ESCAPE_HARMFUL), 2);
    assert_int_equal(escape_count_plain("\xC3\xAB", 2, ESCAPE_NON_ASCII), 0);
    assert_int_equal(escape_count_plain("", 0, ESCAPE_HARMFUL), 0);
}

static void a_character_that_is_cut_off_is_not_utf8(void **state)
{
    (void)state;
    assert_escaped(&escape_ascii, "x\xE2\x80", 3, "x\\xe2\\x80");
    assert_escaped(&escape_sentence, "x\xF0\x9F\x99", 4, "x\\xf0\\x9f\\x99");
    assert_escaped(&escape_json, "x\xF0\x9F\x99", 4, "x\xEF\xBF\xBD");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_target_escapes_what_harms_it),
        cmocka_unit_test(a_nul_is_a_control_character),
        cmocka_unit_test(separators_are_told_where_they_are_asked_for),
        cmocka_unit_test(a_character_that_is_cut_off_is_not_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
