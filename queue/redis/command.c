#include "queue/redis/command.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct words *words)
{
    size_t capacity = words->capacity ? 2 * words->capacity : 64;
    const char **bytes = reallocarray(words->bytes, capacity, sizeof(*bytes));
    size_t *sizes;

    if (!bytes)
        return false;
    words->bytes = bytes;
    sizes = reallocarray(words->sizes, capacity, sizeof(*sizes));
    if (!sizes)
        return false;
    words->sizes = sizes;
    words->capacity = capacity;
    return true;
}

void words_clear(struct words *words)
{
    words->count = 0;
    words->number_count = 0;
    words->failed = false;
}

void words_add(struct words *words, const char *bytes, size_t size)
{
    if (words->count == words->capacity && !grow(words)) {
        words->failed = true;
        return;
    }
    words->bytes[words->count] = bytes;
    words->sizes[words->count] = size;
    words->count++;
}

void words_add_text(struct words *words, const char *text)
{
    words_add(words, text, strlen(text));
}

void words_add_number(struct words *words, int64_t number)
{
    char *text = words->numbers[words->number_count];
    int size;

    assert(words->number_count < WORDS_NUMBERS_MAX);
    words->number_count++;
    size = snprintf(text, sizeof(words->numbers[0]), "%" PRId64, number);
    words_add(words, text, (size_t)size);
}

void words_start(struct words *words, const char *text, ...)
{
    va_list more;

    words_clear(words);
    va_start(more, text);
    for (; text; text = va_arg(more, const char *))
        words_add_text(words, text);
    va_end(more);
}

void words_done(struct words *words)
{
    free(words->bytes);
    free(words->sizes);
    *words = (struct words){0};
}
