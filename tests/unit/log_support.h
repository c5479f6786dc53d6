/* Records for the tests of the log's formats. */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "context/log/log.h"

/* 2026-11-23T20:00:00.000000Z */
#define TIME_OF_RECORDS INT64_C(1795464000000000)

/* For literals that may contain NUL bytes. */
#define VALUE(key_, literal_)                                                                                          \
    {                                                                                                                  \
        .key = (key_), .text = (literal_), .size = sizeof(literal_) - 1                                                \
    }
#define VALUE_INTEGER(key_, literal_)                                                                                  \
    {                                                                                                                  \
        .key = (key_), .text = (literal_), .size = sizeof(literal_) - 1, .integer = true                               \
    }
#define MESSAGE(literal_) .message = (literal_), .message_size = sizeof(literal_) - 1

/* How many elements of `type_` there are among the arguments. */
#define COUNT(type_, ...) (sizeof((const type_[]){__VA_ARGS__}) / sizeof(type_))

#define LABELS(...)                                                                                                    \
    .labels = (const struct log_value[]){__VA_ARGS__}, .label_count = COUNT(struct log_value, __VA_ARGS__)
#define CONTEXT(...)                                                                                                   \
    .context = (const struct log_value[]){__VA_ARGS__}, .context_count = COUNT(struct log_value, __VA_ARGS__)
#define FIELDS(...)                                                                                                    \
    .fields = (const struct weft_field[]){__VA_ARGS__}, .field_count = COUNT(struct weft_field, __VA_ARGS__)

/* Gives `size` bytes `byte` and a NUL, to be freed. */
static inline char *filled(size_t size, char byte)
{
    char *text = malloc(size + 1);

    assert_non_null(text);
    memset(text, byte, size);
    text[size] = '\0';
    return text;
}
