#include "context/escape.h"

#include <stdint.h>
#include <string.h>

#include "context/utf8.h"

enum form {
    FORM_BYTES,       /* \xNN for each byte */
    FORM_UNICODE,     /* \uNNNN: nothing beyond the basic plane is harmful */
    FORM_REPLACEMENT, /* U+FFFD itself */
};

struct escape_target {
    unsigned what;         /* ESCAPE_*, but SEPARATORS */
    bool has_short_forms;  /* \n, \t and \r */
    enum form of_controls; /* in ASCII, where there is no short form */
    enum form of_unicode;  /* harmful characters beyond ASCII */
    enum form of_not_utf8;
};

const struct escape_target escape_json = {
    ESCAPE_HARMFUL | ESCAPE_QUOTES, true, FORM_UNICODE, FORM_UNICODE, FORM_REPLACEMENT,
};
const struct escape_target escape_terminal = {
    ESCAPE_HARMFUL, true, FORM_BYTES, FORM_UNICODE, FORM_BYTES,
};
const struct escape_target escape_quoted = {
    ESCAPE_HARMFUL | ESCAPE_QUOTES, true, FORM_BYTES, FORM_UNICODE, FORM_BYTES,
};
const struct escape_target escape_sentence = {
    ESCAPE_HARMFUL | ESCAPE_QUOTES, false, FORM_BYTES, FORM_BYTES, FORM_BYTES,
};
const struct escape_target escape_ascii = {
    ESCAPE_HARMFUL | ESCAPE_QUOTES | ESCAPE_NON_ASCII, false, FORM_BYTES, FORM_BYTES, FORM_BYTES,
};

/* What a byte has to be looked at for. Every byte beyond ASCII has, since only the whole character can tell. */
static const uint8_t byte_classes[256] = {
    [0 ... 31] = ESCAPE_HARMFUL, [127] = ESCAPE_HARMFUL, [128 ... 255] = ESCAPE_HARMFUL | ESCAPE_NON_ASCII,
    ['"'] = ESCAPE_QUOTES,       ['\\'] = ESCAPE_QUOTES, [' '] = ESCAPE_SEPARATORS,
    ['='] = ESCAPE_SEPARATORS,
};

/* Whether a valid character beyond ASCII is more than text: a control character, a line feed by another name, or one
 * that reverses the order in which the rest of the line is shown. */
static bool is_harmful(uint32_t character)
{
    return character < 0xA0 || (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

size_t escape_count_plain(const char *text, size_t size, unsigned what)
{
    size_t at = 0;

    for (;;) {
        while (at < size && !(byte_classes[(uint8_t)text[at]] & what))
            at++;
        if (at == size || (uint8_t)text[at] < 0x80 || what & ESCAPE_NON_ASCII)
            return at;

        uint32_t character;
        size_t length = utf8_decode(text + at, size - at, &character);
        if (character == UTF8_INVALID || is_harmful(character))
            return at;
        at += length;
    }
}

size_t escape_count_plain_for(const struct escape_target *target, const char *text, size_t size)
{
    return escape_count_plain(text, size, target->what);
}

/* Writes `\`, `letter` and the last digits of a number. */
static size_t write_hex(char *escape, char letter, uint32_t value, unsigned digits)
{
    size_t used = 0;

    escape[used++] = '\\';
    escape[used++] = letter;
    while (digits-- > 0)
        escape[used++] = "0123456789abcdef"[value >> (4 * digits) & 15];
    return used;
}

size_t escape_write(const struct escape_target *target, const char *text, size_t size,
                    char escape[static ESCAPE_SIZE_MAX], size_t *ret_size)
{
    static const char short_forms[128] = {['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r'};
    uint32_t character;
    size_t length = utf8_decode(text, size, &character);
    enum form form = character == UTF8_INVALID ? target->of_not_utf8
                     : character >= 128        ? target->of_unicode
                                               : target->of_controls;

    if (character == '"' || character == '\\' ||
        (character < 128 && target->has_short_forms && short_forms[character])) {
        escape[0] = '\\';
        escape[1] = character == '"' || character == '\\' ? (char)character : short_forms[character];
        *ret_size = 2;
    } else if (form == FORM_UNICODE) {
        *ret_size = write_hex(escape, 'u', character, 4);
    } else if (form == FORM_REPLACEMENT) {
        memcpy(escape, "\xEF\xBF\xBD", 3);
        *ret_size = 3;
    } else {
        *ret_size = 0;
        for (size_t i = 0; i < length; i++)
            *ret_size += write_hex(escape + *ret_size, 'x', (uint8_t)text[i], 2);
    }
    return length;
}
