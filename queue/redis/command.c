#include "queue/redis/command.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct command *command)
{
    size_t capacity = command->capacity ? 2 * command->capacity : 64;
    const char **bytes = reallocarray(command->bytes, capacity, sizeof(*bytes));
    size_t *sizes;

    if (!bytes)
        return false;
    command->bytes = bytes;
    sizes = reallocarray(command->sizes, capacity, sizeof(*sizes));
    if (!sizes)
        return false;
    command->sizes = sizes;
    command->capacity = capacity;
    return true;
}

void command_clear(struct command *command)
{
    command->count = 0;
    command->number_count = 0;
    command->failed = false;
}

void command_add(struct command *command, const char *bytes, size_t size)
{
    if (command->count == command->capacity && !grow(command)) {
        command->failed = true;
        return;
    }
    command->bytes[command->count] = bytes;
    command->sizes[command->count] = size;
    command->count++;
}

void command_add_text(struct command *command, const char *text)
{
    command_add(command, text, strlen(text));
}

void command_add_number(struct command *command, int64_t number)
{
    char *text = command->numbers[command->number_count];

    assert(command->number_count < COMMAND_NUMBERS_MAX);
    command->number_count++;
    int size = snprintf(text, sizeof(command->numbers[0]), "%" PRId64, number);
    command_add(command, text, (size_t)size);
}

void command_start(struct command *command, const char *text, ...)
{
    va_list more;

    command_clear(command);
    va_start(more, text);
    for (; text; text = va_arg(more, const char *))
        command_add_text(command, text);
    va_end(more);
}

void command_done(struct command *command)
{
    free(command->bytes);
    free(command->sizes);
    *command = (struct command){0};
}
