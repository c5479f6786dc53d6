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

/* Room for `size` more bytes, which are then part of it; NULL: no memory. */
static char *extend(struct msgpack *msgpack, size_t size)
{
    char *bytes;

    if (msgpack->capacity - msgpack->size < size) {
        size_t capacity = msgpack->capacity ? msgpack->capacity : 4096;

        while (capacity - msgpack->size < size)
            capacity *= 2;
        bytes = realloc(msgpack->bytes, capacity);
        if (!bytes) {
            msgpack->failed = true;
            return NULL;
        }
        msgpack->bytes = bytes;
        msgpack->capacity = capacity;
    }
    bytes = msgpack->bytes + msgpack->size;
    msgpack->size += size;
    return bytes;
}

/* A tag and a big-endian number of `width` bytes. */
static void write_header(char *bytes, uint8_t tag, uint32_t number, size_t width)
{
    *bytes++ = (char)tag;
    while (width-- > 0)
        *bytes++ = (char)(uint8_t)(number >> (8 * width));
}

static void add_string_header(struct msgpack *msgpack, size_t size)
{
    uint8_t tag = TAG_STRING_32;
    size_t width = 4;

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
    char *bytes = extend(msgpack, 1 + width);
    if (bytes)
        write_header(bytes, tag, (uint32_t)size, width);
}

size_t msgpack_begin_array(struct msgpack *msgpack)
{
    size_t begin = msgpack->size;

    (void)extend(msgpack, MSGPACK_ARRAY_HEADER_SIZE);
    return begin;
}

void msgpack_end_array(struct msgpack *msgpack, size_t begin, uint32_t elements)
{
    if (!msgpack->failed)
        write_header(msgpack->bytes + begin, TAG_ARRAY_32, elements, MSGPACK_ARRAY_HEADER_SIZE - 1);
}

size_t msgpack_begin_map(struct msgpack *msgpack)
{
    size_t begin = msgpack->size;

    (void)extend(msgpack, MAP_HEADER_SIZE);
    return begin;
}

void msgpack_end_map(struct msgpack *msgpack, size_t begin, uint16_t pairs)
{
    if (!msgpack->failed)
        write_header(msgpack->bytes + begin, TAG_MAP_16, pairs, MAP_HEADER_SIZE - 1);
}

void msgpack_add(struct msgpack *msgpack, const char *bytes, size_t size)
{
    add_string_header(msgpack, size);
    char *copy = extend(msgpack, size);
    if (copy && size > 0)
        memcpy(copy, bytes, size);
}

void msgpack_add_text(struct msgpack *msgpack, const char *text)
{
    msgpack_add(msgpack, text, strlen(text));
}

void msgpack_add_number(struct msgpack *msgpack, int64_t number)
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
    msgpack_add(msgpack, first, (size_t)(digits + sizeof(digits) - first));
}

void msgpack_truncate(struct msgpack *msgpack, size_t size)
{
    msgpack->size = size;
    msgpack->failed = false;
}

void msgpack_done(struct msgpack *msgpack)
{
    free(msgpack->bytes);
    *msgpack = (struct msgpack){0};
}
