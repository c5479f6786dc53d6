/*
 * The words of a command on its way to Redis, in arrays that are used again for the next one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_NUMBERS_MAX 8

struct words {
    const char **bytes; /* borrowed until the command has been sent */
    size_t *sizes;
    size_t count;
    size_t capacity;
    char numbers[WORDS_NUMBERS_MAX][24];
    size_t number_count;
    bool failed; /* there was no memory: what is to be sent is not complete */
};

/* Words that are all zero are empty and ready. Adding does not fail by itself: redis_send() refuses what is not
 * complete. */

void words_clear(struct words *words);
void words_add(struct words *words, const char *bytes, size_t size);
void words_add_text(struct words *words, const char *text);

/* At most WORDS_NUMBERS_MAX a command. */
void words_add_number(struct words *words, int64_t number);

/* Clears, and adds the NULL-terminated list of texts. */
void words_start(struct words *words, const char *text, ...) __attribute__((sentinel));

/* Frees the arrays. */
void words_done(struct words *words);
