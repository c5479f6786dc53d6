#include "daemon/cli/print.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/escape.h"
#include "context/utf8.h"

/* Names longer than this do not push the values of all others to the right. */
#define NAME_COLUMNS_MAX 24

/* ---- Text ---- */

size_t print_escaped(FILE *file, const char *bytes, size_t size)
{
    size_t columns = 0;

    for (size_t at = 0; at < size;) {
        char escape[ESCAPE_SIZE_MAX];
        size_t plain = escape_count_plain_for(&escape_terminal, bytes + at, size - at), escape_size = 0;

        if (file)
            (void)fwrite(bytes + at, 1, plain, file);
        /* Each character takes a column, and none of its bytes but the first. */
        for (size_t end = at + plain; at < end; at++)
            columns += ((uint8_t)bytes[at] & 0xC0) != 0x80;
        if (at < size)
            at += escape_write(&escape_terminal, bytes + at, size - at, escape, &escape_size);
        if (file)
            (void)fwrite(escape, 1, escape_size, file);
        columns += escape_size;
    }
    return columns;
}

void print_pairs(const struct print_pair *pairs, size_t count)
{
    size_t columns = 0;

    for (size_t i = 0; i < count; i++) {
        size_t used = print_escaped(NULL, pairs[i].name, pairs[i].name_size);

        if (used > columns && used <= NAME_COLUMNS_MAX)
            columns = used;
    }
    for (size_t i = 0; i < count; i++) {
        size_t used = print_escaped(stdout, pairs[i].name, pairs[i].name_size);

        printf(":%*s", (int)(used < columns ? columns - used + 1 : 1), "");
        (void)print_escaped(stdout, pairs[i].value, pairs[i].value_size);
        putchar('\n');
    }
}

/* ---- JSON ---- */

static char *encode_base64(const char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *end = text;

    for (size_t at = 0; text && at < size; at += 3) {
        size_t left = size - at;
        uint32_t bits = (uint32_t)(uint8_t)bytes[at] << 16;

        if (left > 1)
            bits |= (uint32_t)(uint8_t)bytes[at + 1] << 8;
        if (left > 2)
            bits |= (uint8_t)bytes[at + 2];
        *end++ = digits[bits >> 18];
        *end++ = digits[bits >> 12 & 63];
        *end++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *end++ = left > 2 ? digits[bits & 63] : '=';
    }
    if (text)
        *end = '\0';
    return text;
}

static bool is_utf8(const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t character;

        at += utf8_decode(bytes + at, size - at, &character);
        if (character == UTF8_INVALID)
            return false;
    }
    return true;
}

json_t *print_make_json(const char *bytes, size_t size)
{
    CLEANUP_FREE char *base64 = NULL;

    if (is_utf8(bytes, size))
        return json_stringn(bytes, size);
    base64 = encode_base64(bytes, size);
    return base64 ? json_pack("{s:s}", "base64", base64) : NULL;
}

/* jansson takes names as C strings of UTF-8. */
int print_add_json(json_t *object, const char *name, size_t name_size, json_t *value)
{
    assert(json_is_object(object));
    CLEANUP_FREE char *key = NULL;
    size_t key_size;
    FILE *stream = open_memstream(&key, &key_size);

    if (!stream) {
        json_decref(value);
        return -ENOMEM;
    }
    (void)print_escaped(stream, name, name_size);
    if (fclose(stream) != 0 || !key) {
        json_decref(value);
        return -ENOMEM;
    }
    return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int print_json(json_t *object)
{
    CLEANUP_FREE char *line = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    json_decref(object);
    if (!line)
        return -ENOMEM;
    puts(line);
    return 0;
}

int print_made_json(json_t *object, int r)
{
    if (r == 0)
        return print_json(object);
    json_decref(object);
    return r;
}
