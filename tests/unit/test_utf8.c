/* UTF-8 and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "context/utf8.h"

struct reading {
    const char *text;
    size_t size;
    uint32_t character;
    size_t length;
};

#define READING(literal_, character_, length_)                                                                         \
    {                                                                                                                  \
        (literal_), sizeof(literal_) - 1, (character_), (length_)                                                      \
    }

static void assert_readings(const struct reading *readings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t character = 0;

        assert_int_equal(utf8_decode(readings[i].text, readings[i].size, &character), readings[i].length);
        assert_int_equal(character, readings[i].character);
    }
}

static void characters_at_the_edges_of_each_length_are_read(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        READING("\0", 0, 1),
        READING("\x7f", 0x7F, 1),
        READING("\xC2\x80", 0x80, 2),
        READING("\xDF\xBF", 0x7FF, 2),
        READING("\xE0\xA0\x80", 0x800, 3),
        READING("\xED\x9F\xBF", 0xD7FF, 3),
        READING("\xEE\x80\x80", 0xE000, 3),
        READING("\xEF\xBF\xBF", 0xFFFF, 3),
        READING("\xF0\x90\x80\x80", 0x10000, 4),
        READING("\xF4\x8F\xBF\xBF", 0x10FFFF, 4),
        READING("\xE2\x82\xAC...", 0x20AC, 3),
    };

    assert_readings(readings, sizeof(readings) / sizeof(readings[0]));
}

static void what_is_not_utf8_is_recognised(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        /* No character begins with these. */
        READING("\x80", UTF8_INVALID, 1),
        READING("\xBF\x80", UTF8_INVALID, 1),
        READING("\xF8\x88\x80\x80\x80", UTF8_INVALID, 1),
        READING("\xFE", UTF8_INVALID, 1),
        READING("\xFF", UTF8_INVALID, 1),
        /* Overlong. */
        READING("\xC0\x8A", UTF8_INVALID, 1),
        READING("\xC1\xBF", UTF8_INVALID, 1),
        READING("\xE0\x9F\xBF", UTF8_INVALID, 1),
        READING("\xF0\x8F\xBF\xBF", UTF8_INVALID, 1),
        /* Surrogates, and beyond U+10FFFF. */
        READING("\xED\xA0\x80", UTF8_INVALID, 1),
        READING("\xED\xBF\xBF", UTF8_INVALID, 1),
        READING("\xF4\x90\x80\x80", UTF8_INVALID, 1),
        READING("\xF5\x80\x80\x80", UTF8_INVALID, 1),
        /* Truncated: at the end, or by another character. */
        READING("\xC3", UTF8_INVALID, 1),
        READING("\xE2\x82", UTF8_INVALID, 2),
        READING("\xF0\x9F\x98", UTF8_INVALID, 3),
        READING("\xC3\n", UTF8_INVALID, 1),
        READING("\xE2\x82\"", UTF8_INVALID, 2),
        READING("\xF0\x9F\x98\xC3", UTF8_INVALID, 3),
    };

    assert_readings(readings, sizeof(readings) / sizeof(readings[0]));
}

static void every_character_is_read_back(void **state)
{
    (void)state;
    for (uint32_t wanted = 0x80; wanted <= 0x10FFFF; wanted++) {
        const char text[] = {
            (char)(0xF0 | wanted >> 18),
            (char)(0x80 | (wanted >> 12 & 0x3F)),
            (char)(0x80 | (wanted >> 6 & 0x3F)),
            (char)(0x80 | (wanted & 0x3F)),
        };
        char shorter[3];
        uint32_t character = 0;

        if (wanted >= 0x10000) {
            assert_int_equal(utf8_decode(text, 4, &character), 4);
        } else {
            size_t length = wanted < 0x800 ? 2 : 3;
            memcpy(shorter, text + 4 - length, length);
            shorter[0] = (char)(wanted < 0x800 ? 0xC0 | wanted >> 6 : 0xE0 | wanted >> 12);
            bool is_surrogate = wanted >= 0xD800 && wanted <= 0xDFFF;
            assert_int_equal(utf8_decode(shorter, length, &character), is_surrogate ? 1 : length);
            if (is_surrogate)
                continue;
        }
        assert_int_equal(character, wanted);
    }
}

static void a_text_is_cut_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t limit;
        size_t size;
    } cuts[] = {
        {"abc", 5, 3},
        {"abc", 3, 3},
        {"abc", 2, 2},
        {"abc", 0, 0},
        {"a\xC3\xA9z", 1, 1},
        {"a\xC3\xA9z", 2, 1},
        {"a\xC3\xA9z", 3, 3},
        {"\xF0\x9F\x98\x80", 3, 0},
        {"\xF0\x9F\x98\x80!", 4, 4},
        {"\xC3\xA9", 1, 0},
        /* More continuation bytes than a character can have. */
        {"ab\x80\x80\x80\x80\x80\x80", 7, 7},
        {"\x80\x80\x80", 2, 2},
    };

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
        assert_int_equal(utf8_cut(cuts[i].text, strlen(cuts[i].text), cuts[i].limit), cuts[i].size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_at_the_edges_of_each_length_are_read),
        cmocka_unit_test(what_is_not_utf8_is_recognised),
        cmocka_unit_test(every_character_is_read_back),
        cmocka_unit_test(a_text_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
