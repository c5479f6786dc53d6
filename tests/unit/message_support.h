/*
 * For tests of messages: fields as Redis gives them, each in memory of exactly its size, so that sanitizers and
 * valgrind see every byte read too many.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "queue/message/message.h"

#define NOW_MS   INT64_C(1763922000500)
#define ENTRY_ID "1763922000123-7"
#define ENTRY_MS INT64_C(1763922000123)

/* A field from string literals, which may hold NUL bytes. */
#define FIELD(name_, value_)                                                                                           \
    (struct message_field)                                                                                             \
    {                                                                                                                  \
        .name = (name_), .name_size = sizeof(name_) - 1, .value = (value_), .value_size = sizeof(value_) - 1           \
    }

#define PARSE(...)                                                                                                     \
    message_support_parse((const struct message_field[]){__VA_ARGS__},                                                 \
                          sizeof((const struct message_field[]){__VA_ARGS__}) / sizeof(struct message_field))

struct parsed {
    int result;
    struct job *job;
    struct message_rejection rejection;
};

static inline bool message_support_knows(const char *type, void *user)
{
    (void)user;
    return strcmp(type, "nosuch") != 0;
}

static inline const char *message_support_copy(const char *bytes, size_t size)
{
    char *copy = malloc(size);

    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static inline struct parsed message_support_parse(const struct message_field *fields, size_t count)
{
    const struct message_limits limits = {.payload_max = 1024, .type_known = message_support_knows};
    struct message_field *copies = calloc(count ? count : 1, sizeof(*copies));
    struct parsed parsed = {0};

    for (size_t i = 0; i < count; i++) {
        copies[i] = fields[i];
        copies[i].name = message_support_copy(fields[i].name, fields[i].name_size);
        copies[i].value = message_support_copy(fields[i].value, fields[i].value_size);
    }
    parsed.result = message_parse("default", ENTRY_ID, copies, count, NOW_MS, &limits, &parsed.job, &parsed.rejection);
    for (size_t i = 0; i < count; i++) {
        free((void *)copies[i].name);
        free((void *)copies[i].value);
    }
    free(copies);
    return parsed;
}
