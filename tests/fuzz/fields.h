/*
 * Fields of any bytes, as files that can be read and edited: a line `NAME=VALUE` each, where a backslash takes the next
 * byte as it is (`\=`, `\\`, a line feed) and `\*` repeats the byte before it, so that it stands there 256 times.
 * Every file means something: a line without `=` is a name without a value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/support.h"

#define FUZZ_FIELDS_MAX 512
#define FUZZ_BYTES_MAX  (128 * 1024)
#define FUZZ_REPETITION 255

/* Without NULs behind them; a size of 0 has NULL. */
struct fuzz_field {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
    bool has_value;
};

struct fuzz_fields {
    struct fuzz_field items[FUZZ_FIELDS_MAX];
    size_t count;
    char bytes[FUZZ_BYTES_MAX];
    size_t used;
};

FUZZ_UNWATCHED static inline void fuzz_fields_append(struct fuzz_fields *fields, size_t *size, uint8_t byte)
{
    if (fields->used == FUZZ_BYTES_MAX)
        return;
    fields->bytes[fields->used++] = (char)byte;
    ++*size;
}

/* Reads a name, up to `=` or the end of the line, or a value, up to the end of the line, and gives what follows. */
FUZZ_UNWATCHED static inline const uint8_t *fuzz_fields_read_part(struct fuzz_fields *fields, const uint8_t *at,
                                                                  const uint8_t *end, bool is_name,
                                                                  const char **ret_part, size_t *ret_size)
{
    const char *part = fields->bytes + fields->used;
    size_t size = 0;

    for (; at < end && *at != '\n' && !(is_name && *at == '='); at++) {
        bool escaped = *at == '\\' && at + 1 < end;

        at += escaped;
        if (!escaped || *at != '*')
            fuzz_fields_append(fields, &size, *at);
        for (int i = 0; escaped && *at == '*' && size > 0 && i < FUZZ_REPETITION; i++)
            fuzz_fields_append(fields, &size, (uint8_t)part[size - 1]);
    }
    *ret_part = size > 0 ? part : NULL;
    *ret_size = size;
    return at;
}

static inline void fuzz_fields_decode(struct fuzz_fields *fields, const uint8_t *bytes, size_t size)
{
    const uint8_t *at = bytes, *end = bytes + size;

    fields->count = 0;
    fields->used = 0;
    while (at < end && fields->count < FUZZ_FIELDS_MAX) {
        struct fuzz_field *field = &fields->items[fields->count++];

        *field = (struct fuzz_field){0};
        at = fuzz_fields_read_part(fields, at, end, true, &field->name, &field->name_size);
        field->has_value = at < end && *at == '=';
        if (field->has_value)
            at = fuzz_fields_read_part(fields, at + 1, end, false, &field->value, &field->value_size);
        at += at < end;
    }
}
