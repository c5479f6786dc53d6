/*
 * A slow model of messages, which knows nothing of the parser's tables: whether one is right, and which of its fields
 * count.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/message/message.h"
#include "queue/message/units.h"
#include "tests/fuzz/support.h"

#define PAYLOAD_MAX 1024
#define DAY_MS      (INT64_C(24) * 60 * 60 * 1000)
#define YEAR_10000  INT64_C(253402300800000)

struct message {
    const char *entry_id;
    const struct message_field *fields;
    size_t count;
};

static inline bool is_named(const struct message_field *field, const char *name)
{
    return field->name_size == strlen(name) && memcmp(field->name, name, field->name_size) == 0;
}

static inline const struct message_field *last_of(const struct message *message, const char *name)
{
    const struct message_field *found = NULL;

    for (size_t i = 0; i < message->count; i++)
        found = is_named(&message->fields[i], name) ? &message->fields[i] : found;
    return found;
}

static inline bool is_made_of(const char *alphabet, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\0' || !strchr(alphabet, bytes[i]))
            return false;
    }
    return size >= 1 && size <= 128;
}

#define NAME_CHARACTERS   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define JOB_ID_CHARACTERS NAME_CHARACTERS ":"

static inline bool is_name(const struct message_field *field)
{
    return is_made_of(NAME_CHARACTERS, field->value, field->value_size);
}

static inline bool is_job_id(const struct message_field *field)
{
    return is_made_of(JOB_ID_CHARACTERS, field->value, field->value_size);
}

static inline bool is_key(const struct message_field *field)
{
    for (size_t i = 0; i < field->value_size; i++) {
        if (field->value[i] < 0x20 || field->value[i] > 0x7e)
            return false;
    }
    return field->value_size >= 1 && field->value_size <= 256;
}

static inline int read_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, 0, INT64_MAX, ret_value);
}

/* Every instruction, with what it may hold: a form, or a number and its bounds. */
static const struct rule {
    const char *name;
    bool (*is_right)(const struct message_field *field);
    int (*read)(const char *text, size_t size, int64_t *ret_value);
    int64_t min;
    int64_t max;
} rules[] = {
    {"type", is_name, NULL, 0, 0},
    {"id", is_job_id, NULL, 0, 0},
    {"root", is_job_id, NULL, 0, 0},
    {"parent", is_job_id, NULL, 0, 0},
    {"weft.id", is_job_id, NULL, 0, 0},
    {"weft.duplicate_of", is_job_id, NULL, 0, 0},
    {"weft.unique", NULL, NULL, 0, 0},
    {"unique", is_key, NULL, 0, 0},
    {"at", NULL, units_parse_time, 0, YEAR_10000 - 1},
    {"delay", NULL, units_parse_duration, 0, 3650 * DAY_MS},
    {"timeout", NULL, units_parse_duration, 1, 7 * DAY_MS},
    {"unique_for", NULL, units_parse_duration, 1, 30 * DAY_MS},
    {"attempts", NULL, read_integer, 1, 1000},
    {"weft.attempt", NULL, read_integer, 0, 1000000},
    {"weft.enqueued_at", NULL, read_integer, 0, YEAR_10000 - 1},
    {"payload", NULL, NULL, 0, 0},
    {"traceparent", NULL, NULL, 0, 0},
    {"tracestate", NULL, NULL, 0, 0},
};

static inline bool is_instruction(const struct message_field *field)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (is_named(field, rules[i].name))
            return true;
    }
    return false;
}

static inline bool is_metadata(const struct message_field *field)
{
    return !is_instruction(field) && !(field->name_size >= 5 && memcmp(field->name, "weft.", 5) == 0);
}

/* The number that an instruction gives; `otherwise` where it is not there. */
static inline int64_t number_of(const struct message *message, const char *name, int64_t otherwise)
{
    const struct message_field *field = last_of(message, name);
    int64_t value = otherwise;

    for (size_t i = 0; field && i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(rules[i].name, name) == 0)
            REQUIRE(rules[i].read(field->value, field->value_size, &value) == 0, "%s is not readable", name);
    }
    return value;
}

static inline bool breaks_a_rule(const struct message *message)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *rule = &rules[i];
        const struct message_field *field = last_of(message, rule->name);
        int64_t value;

        if (!field)
            continue;
        if (rule->is_right && !rule->is_right(field))
            return true;
        if (rule->read &&
            (rule->read(field->value, field->value_size, &value) < 0 || value < rule->min || value > rule->max))
            return true;
    }
    return false;
}

/* Whether a field is the first of its name. */
static inline bool is_first(const struct message *message, size_t index)
{
    const struct message_field *field = &message->fields[index];

    for (size_t i = 0; i < index; i++) {
        const struct message_field *other = &message->fields[i];

        if (other->name_size == field->name_size && memcmp(other->name, field->name, field->name_size) == 0)
            return false;
    }
    return true;
}

static inline const struct message_field *last_like(const struct message *message, size_t index)
{
    const struct message_field *field = &message->fields[index];

    for (size_t i = message->count; i-- > index;) {
        const struct message_field *other = &message->fields[i];

        if (other->name_size == field->name_size && memcmp(other->name, field->name, field->name_size) == 0)
            return other;
    }
    return field;
}

static inline bool breaks_a_limit(const struct message *message)
{
    const struct message_field *payload = last_of(message, "payload");
    size_t count = 0, bytes = 0;

    for (size_t i = 0; i < message->count; i++) {
        const struct message_field *field = &message->fields[i];

        if (!is_instruction(field) && !is_made_of(NAME_CHARACTERS, field->name, field->name_size))
            return true;
        if (!is_metadata(field) || !is_first(message, i))
            continue;
        count++;
        bytes += field->name_size + last_like(message, i)->value_size;
    }
    return count > 64 || bytes > 16 * 1024 || (payload && payload->value_size > PAYLOAD_MAX);
}

static inline bool is_wrong(const struct message *message)
{
    const struct message_field *type = last_of(message, "type");

    return !type || is_named(&(struct message_field){.name = type->value, .name_size = type->value_size}, "nosuch") ||
           breaks_a_rule(message) || breaks_a_limit(message) || (last_of(message, "delay") && last_of(message, "at")) ||
           (last_of(message, "unique_for") && !last_of(message, "unique"));
}
