#include "queue/redis/msgpack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TAG_SHORT_STRING 0xa0
#define TAG_STRING_8     0xd9
#define TAG_STRING_16    0xda
#define TAG_STRING_32    0xdb
#define TAG_ARRAY_32     0xdd
#define TAG_MAP_16       0xde

#define MAP_HEADER_SIZE 3
#define DIGITS_MAX      20

/* Room for `size` more bytes, which are then part of the pack; NULL: no memory. */
static char *extend(struct pack *pack, size_t size)
{
    char *bytes;

    if (pack->capacity - pack->size < size) {
        size_t capacity = pack->capacity ? pack->capacity : 4096;

        while (capacity - pack->size < size)
            capacity *= 2;
        bytes = realloc(pack->bytes, capacity);
        if (!bytes) {
            pack->failed = true;
            return NULL;
        }
        pack->bytes = bytes;
        pack->capacity = capacity;
    }
    bytes = pack->bytes + pack->size;
    pack->size += size;
    return bytes;
}

/* A tag and a big-endian number of `width` bytes. */
static void write_header(char *bytes, uint8_t tag, uint32_t number, size_t width)
{
    *bytes++ = (char)tag;
    while (width-- > 0)
        *bytes++ = (char)(uint8_t)(number >> (8 * width));
}

static void add_string_header(struct pack *pack, size_t size)
{
    uint8_t tag = TAG_STRING_32;
    size_t width = 4;
    char *bytes;

    assert(size <= UINT32_MAX);
    if (size < 32) {
        tag = (uint8_t)(TAG_SHORT_STRING | size);
        width = 0;
    } else if (size <= UINT8_MAX) {
        tag = TAG_STRING_8;
        width = 1;
    } else if (size <= UINT16_MAX) {
        tag = TAG_STRING_16;
        width = 2;
    }
    bytes = extend(pack, 1 + width);
    if (bytes)
        write_header(bytes, tag, (uint32_t)size, width);
}

size_t pack_begin_array(struct pack *pack)
{
    size_t begin = pack->size;

    (void)extend(pack, PACK_ARRAY_HEADER_SIZE);
    return begin;
}

void pack_end_array(struct pack *pack, size_t begin, uint32_t elements)
{
    if (!pack->failed)
        write_header(pack->bytes + begin, TAG_ARRAY_32, elements, PACK_ARRAY_HEADER_SIZE - 1);
}

size_t pack_begin_map(struct pack *pack)
{
    size_t begin = pack->size;

    (void)extend(pack, MAP_HEADER_SIZE);
    return begin;
}

void pack_end_map(struct pack *pack, size_t begin, uint16_t pairs)
{
    if (!pack->failed)
        write_header(pack->bytes + begin, TAG_MAP_16, pairs, MAP_HEADER_SIZE - 1);
}

void pack_add(struct pack *pack, const char *bytes, size_t size)
{
    char *copy;

    add_string_header(pack, size);
    copy = extend(pack, size);
    if (copy && size > 0)
        memcpy(copy, bytes, size);
}

void pack_add_text(struct pack *pack, const char *text)
{
    pack_add(pack, text, strlen(text));
}

void pack_add_number(struct pack *pack, int64_t number)
{
    char digits[DIGITS_MAX];
    char *first = digits + sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        *--first = '-';
    pack_add(pack, first, (size_t)(digits + sizeof(digits) - first));
}

void pack_truncate(struct pack *pack, size_t size)
{
    pack->size = size;
    pack->failed = false;
}

void pack_done(struct pack *pack)
{
    free(pack->bytes);
    *pack = (struct pack){0};
}
