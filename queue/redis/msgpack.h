/*
 * Writes MessagePack, which Redis's scripts read: one word of a command for a whole batch, instead of a word for each
 * value, each of which costs Redis about as much as the work itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_ARRAY_HEADER_SIZE 5

struct pack {
    char *bytes;
    size_t size;
    size_t capacity;
    bool failed; /* there was no memory: what is there is not complete */
};

/* A pack that is all zero is empty and ready. */

/* Begins an array or a map whose length is said at its end, and gives where it begins. */
size_t pack_begin_array(struct pack *pack);
void pack_end_array(struct pack *pack, size_t begin, uint32_t elements);
size_t pack_begin_map(struct pack *pack);
void pack_end_map(struct pack *pack, size_t begin, uint16_t pairs);

/* A string, of any bytes. */
void pack_add(struct pack *pack, const char *bytes, size_t size);
void pack_add_text(struct pack *pack, const char *text);

/* A number, as a string of digits: that is what commands take. */
void pack_add_number(struct pack *pack, int64_t number);

/* Takes back what was added behind `size`. */
void pack_truncate(struct pack *pack, size_t size);

/* Frees the bytes. */
void pack_done(struct pack *pack);
