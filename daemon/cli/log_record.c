#include "daemon/cli/log_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cli/log_match.h"

/* Some of jansson's functions take objects that they do not change as if they did. */
static json_t *unconst(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

static int take_level(struct log_record_copy *copy, const json_t *value)
{
    const char *name = json_string_value(value);

    for (enum weft_level level = WEFT_DEBUG; name && level <= WEFT_ERROR; level++) {
        if (strcmp(log_level_name(level), name) == 0) {
            copy->record.level = level;
            return 0;
        }
    }
    return -EINVAL;
}

static void take_context(struct log_record_copy *copy, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach (unconst(object), key, value) {
        if (!json_is_string(value) || copy->record.context_count == LOG_CONTEXT_MAX)
            continue;
        copy->context[copy->record.context_count++] = (struct log_value){
            .key = key,
            .text = json_string_value(value),
            .size = json_string_length(value),
        };
    }
}

static int take_data(struct log_record_copy *copy, const json_t *object)
{
    const char *key;
    json_t *value;

    free(copy->fields);
    copy->record.field_count = 0;
    copy->fields = calloc(json_object_size(object) + 1, sizeof(*copy->fields));
    if (!copy->fields)
        return -ENOMEM;
    json_object_foreach (unconst(object), key, value) {
        struct weft_field *field = &copy->fields[copy->record.field_count++];

        if (json_is_integer(value))
            *field = WEFT_INT(key, json_integer_value(value));
        else if (json_is_real(value))
            *field = WEFT_REAL(key, json_real_value(value));
        else
            *field = WEFT_TEXT(key, json_string_value(value));
    }
    return 0;
}

static void take_label(struct log_record_copy *copy, const char *key, const json_t *value)
{
    size_t at = copy->record.label_count;
    struct log_value label = {.key = key, .integer = json_is_integer(value)};

    if (at == LOG_LABELS_MAX || (!label.integer && !json_is_string(value)))
        return;
    if (label.integer) {
        label.text = copy->numbers[at];
        label.size = (size_t)snprintf(copy->numbers[at], sizeof(copy->numbers[at]), "%" JSON_INTEGER_FORMAT,
                                      json_integer_value(value));
    } else {
        label.text = json_string_value(value);
        label.size = json_string_length(value);
    }
    copy->record.has_first_label = copy->record.has_first_label || (at == 0 && strcmp(key, "job_id") == 0);
    copy->labels[copy->record.label_count++] = label;
}

/* What is none of the line's own keys is a label. */
static int take(struct log_record_copy *copy, const char *key, const json_t *value)
{
    struct log_record *record = &copy->record;

    if (strcmp(key, "level") == 0)
        return take_level(copy, value);
    if (strcmp(key, "data") == 0)
        return take_data(copy, value);
    if (strcmp(key, "ts") == 0)
        return json_is_string(value)
                   ? log_match_time(json_string_value(value), json_string_length(value), &record->time_us)
                   : -EINVAL;
    if (strcmp(key, "msg") == 0) {
        record->message = json_string_value(value);
        record->message_size = json_string_length(value);
        return record->message ? 0 : -EINVAL;
    }
    if (strcmp(key, "node") == 0)
        record->node = json_string_value(value);
    else if (strcmp(key, "pid") == 0)
        record->pid = (int)json_integer_value(value);
    else if (strcmp(key, "ctx") == 0)
        take_context(copy, value);
    else
        take_label(copy, key, value);
    return 0;
}

int log_record_init(struct log_record_copy *copy, const json_t *line)
{
    const char *key;
    json_t *value;
    int r = 0;

    *copy = (struct log_record_copy){.record.level = WEFT_INFO};
    json_object_foreach (unconst(line), key, value) {
        r = take(copy, key, value);
        if (r < 0)
            break;
    }
    if (r == 0 && (!copy->record.message || !json_object_get(line, "ts")))
        r = -EINVAL;
    copy->record.labels = copy->labels;
    copy->record.context = copy->context;
    copy->record.fields = copy->fields;
    if (r < 0)
        log_record_done(copy);
    return r;
}

void log_record_done(struct log_record_copy *copy)
{
    free(copy->fields);
    copy->fields = NULL;
}
