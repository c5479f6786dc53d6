#include "daemon/cli/print.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/log_line.h"
#include "context/utf8.h"

/* Names longer than this do not push the values of all others to the right. */
#define NAME_COLUMNS_MAX 24

/* ---- Text ---- */

/* As the log's text format has them. */
static int write_escape(char *escape, size_t room, const char *bytes, size_t size, uint32_t character)
{
    int used = 0;

    if (character != UTF8_INVALID && character >= 128)
        return snprintf(escape, room, "\\u%04x", character);
    if (character == '\n' || character == '\t' || character == '\r')
        return snprintf(escape, room, "\\%c", character == '\n' ? 'n' : character == '\t' ? 't' : 'r');
    for (size_t i = 0; i < size; i++)
        used += snprintf(escape + used, room - (size_t)used, "\\x%02x", (uint8_t)bytes[i]);
    return used;
}

size_t print_escaped(FILE *file, const char *bytes, size_t size)
{
    size_t columns = 0;

    for (size_t at = 0; at < size;) {
        char escape[32];
        uint32_t character;
        size_t length = utf8_decode(bytes + at, size - at, &character);
        bool plain = log_text_is_plain(bytes + at, length, LOG_ESCAPE_HARMFUL);
        int escaped = plain ? 0 : write_escape(escape, sizeof(escape), bytes + at, length, character);

        if (file)
            (void)fwrite(plain ? bytes + at : escape, 1, plain ? length : (size_t)escaped, file);
        columns += plain ? 1 : (size_t)escaped;
        at += length;
    }
    return columns;
}

static void print_pair(const struct print_pair *pair, size_t columns)
{
    size_t used = print_escaped(stdout, pair->name, pair->name_size);

    printf(":%*s", (int)(used < columns ? columns - used + 1 : 1), "");
    (void)print_escaped(stdout, pair->value, pair->value_size);
    putchar('\n');
}

void print_pairs(const struct print_pair *pairs, size_t count)
{
    size_t columns = 0;

    for (size_t i = 0; i < count; i++) {
        size_t used = print_escaped(NULL, pairs[i].name, pairs[i].name_size);

        if (used > columns && used <= NAME_COLUMNS_MAX)
            columns = used;
    }
    for (size_t i = 0; i < count; i++)
        print_pair(&pairs[i], columns);
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
