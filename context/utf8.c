#include "context/utf8.h"

#include "context/macros.h"

/* Which bytes may begin a character, how long it is then, and what its second byte may be. The narrower ranges are what
 * keeps overlong forms, surrogates and numbers beyond U+10FFFF out. */
static const struct utf8_lead {
    uint8_t first;
    uint8_t last;
    uint8_t length;
    uint8_t second_min;
    uint8_t second_max;
} utf8_leads[] = {
    {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF}, {0xED, 0xED, 3, 0x80, 0x9F},
    {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF}, {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static const struct utf8_lead *utf8_find_lead(uint8_t byte)
{
    for (size_t i = 0; i < ELEMENTS(utf8_leads); i++) {
        if (byte >= utf8_leads[i].first && byte <= utf8_leads[i].last)
            return &utf8_leads[i];
    }
    return NULL;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *ret_character)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[0] < 0x80) {
        *ret_character = bytes[0];
        return 1;
    }

    *ret_character = UTF8_INVALID;
    const struct utf8_lead *lead = utf8_find_lead(bytes[0]);
    if (!lead || size < 2 || bytes[1] < lead->second_min || bytes[1] > lead->second_max)
        return 1;

    uint32_t character = bytes[0] & (0x7Fu >> lead->length);
    character = character << 6 | (bytes[1] & 0x3Fu);
    for (size_t i = 2; i < lead->length; i++) {
        if (i == size || (bytes[i] & 0xC0) != 0x80)
            return i;
        character = character << 6 | (bytes[i] & 0x3Fu);
    }
    *ret_character = character;
    return lead->length;
}

size_t utf8_cut(const char *text, size_t size, size_t limit)
{
    if (size <= limit)
        return size;

    /* A character has at most three continuation bytes; more of them are not UTF-8, and cut anywhere. */
    for (size_t back = 0; back <= 3 && back <= limit; back++) {
        if (((uint8_t)text[limit - back] & 0xC0) != 0x80)
            return limit - back;
    }
    return limit;
}
