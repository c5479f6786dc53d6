/*
 * The arguments of a command on its way to Redis, in arrays that are used again for the next one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_NUMBERS_MAX 8

struct command {
    const char **bytes; /* borrowed until the command has been sent */
    size_t *sizes;
    size_t count;
    size_t capacity;
    char numbers[COMMAND_NUMBERS_MAX][24];
    size_t number_count;
    bool failed; /* there was no memory: what is to be sent is not complete */
};

/* A command that is all zero is empty and ready. Adding does not fail by itself: connection_send() refuses what is not
 * complete. */

void command_clear(struct command *command);
void command_add(struct command *command, const char *bytes, size_t size);
void command_add_text(struct command *command, const char *text);

/* At most COMMAND_NUMBERS_MAX a command. */
void command_add_number(struct command *command, int64_t number);

/* Clears, and adds the NULL-terminated list of texts. */
void command_start(struct command *command, const char *text, ...) __attribute__((sentinel));

/* Frees the arrays. */
void command_done(struct command *command);
