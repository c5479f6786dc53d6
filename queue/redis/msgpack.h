/*
 * Writes MessagePack, which Redis's scripts read: one argument of a command for a whole batch, instead of one for each
 * value, each of which costs Redis about as much as the work itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSGPACK_ARRAY_HEADER_SIZE 5

struct msgpack {
    char *bytes;
    size_t size;
    size_t capacity;
    bool failed; /* there was no memory: what is there is not complete */
};

/* One that is all zero is empty and ready. */

/* Begins an array or a map whose length is said at its end, and gives where it begins. */
size_t msgpack_begin_array(struct msgpack *msgpack);
void msgpack_end_array(struct msgpack *msgpack, size_t begin, uint32_t elements);
size_t msgpack_begin_map(struct msgpack *msgpack);
void msgpack_end_map(struct msgpack *msgpack, size_t begin, uint16_t pairs);

/* A string, of any bytes. */
void msgpack_add(struct msgpack *msgpack, const char *bytes, size_t size);
void msgpack_add_text(struct msgpack *msgpack, const char *text);

/* A number, as a string of digits: that is what commands take. */
void msgpack_add_number(struct msgpack *msgpack, int64_t number);

/* Takes back what was added behind `size`. */
void msgpack_truncate(struct msgpack *msgpack, size_t size);

/* Frees the bytes. */
void msgpack_done(struct msgpack *msgpack);
