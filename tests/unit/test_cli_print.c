/* What weft prints of values that may be anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/cli/print.h"

static void assert_printed(const char *bytes, size_t size, const char *expected, size_t columns)
{
    char *text = NULL;
    size_t text_size;
    FILE *stream = open_memstream(&text, &text_size);

    assert_non_null(stream);
    size_t used = print_escaped(stream, bytes, size);
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(text, expected);
    assert_int_equal(used, columns);
    assert_int_equal(print_escaped(NULL, bytes, size), columns);
    free(text);
}

#define ASSERT_PRINTED(literal_, expected_, columns_)                                                                  \
    assert_printed((literal_), sizeof(literal_) - 1, (expected_), (columns_))

static void text_that_does_no_harm_is_printed_as_it_is(void **state)
{
    (void)state;
    ASSERT_PRINTED("", "", 0);
    ASSERT_PRINTED("{\"answer\": 42, \"path\": \"C:\\\\\"}", "{\"answer\": 42, \"path\": \"C:\\\\\"}", 30);
    ASSERT_PRINTED("Zo\xC3\xAB \xF0\x9F\x99\x82", "Zo\xC3\xAB \xF0\x9F\x99\x82", 5);
}

static void what_steers_a_terminal_is_escaped(void **state)
{
    (void)state;
    ASSERT_PRINTED("\x1b[31mred\x07", "\\x1b[31mred\\x07", 15);
    ASSERT_PRINTED("a\nb\tc\rd", "a\\nb\\tc\\rd", 10);
    ASSERT_PRINTED("\0\x7f", "\\x00\\x7f", 8);
    ASSERT_PRINTED("\xC2\x9B", "\\u009b", 6);
    ASSERT_PRINTED("\xE2\x80\xAE", "\\u202e", 6);
    ASSERT_PRINTED("\x9B\xFFz", "\\x9b\\xffz", 9);
}

static void assert_json(const char *bytes, size_t size, const char *expected)
{
    json_t *value = print_make_json(bytes, size);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

#define ASSERT_JSON(literal_, expected_) assert_json((literal_), sizeof(literal_) - 1, (expected_))

static void utf8_is_a_string_in_json(void **state)
{
    (void)state;
    ASSERT_JSON("", "\"\"");
    ASSERT_JSON("a\0b\x1b", "\"a\\u0000b\\u001B\"");
    ASSERT_JSON("Zo\xC3\xAB", "\"Zo\\u00EB\"");
}

static void other_bytes_are_base64_in_json(void **state)
{
    (void)state;
    ASSERT_JSON("\xFF", "{\"base64\":\"/w==\"}");
    ASSERT_JSON("\xFF\xFE", "{\"base64\":\"//4=\"}");
    ASSERT_JSON("\xFF\xFE\xFD", "{\"base64\":\"//79\"}");
    ASSERT_JSON("a\0\xC3", "{\"base64\":\"YQDD\"}");
    ASSERT_JSON("\xED\xA0\x80zz", "{\"base64\":\"7aCAeno=\"}");
}

static void names_that_are_no_utf8_are_escaped_in_json(void **state)
{
    (void)state;
    json_t *object = json_object();

    assert_int_equal(print_add_json(object, "a\0\xFF", 3, json_integer(1)), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "a\\x00\\xff")), 1);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_does_no_harm_is_printed_as_it_is),
        cmocka_unit_test(what_steers_a_terminal_is_escaped),
        cmocka_unit_test(utf8_is_a_string_in_json),
        cmocka_unit_test(other_bytes_are_base64_in_json),
        cmocka_unit_test(names_that_are_no_utf8_are_escaped_in_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
