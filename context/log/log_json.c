#include "context/log/log_json.h"

#include <math.h>

#include "context/log/log_line.h"

static void json_append_string(struct log_line *line, const char *text, size_t size)
{
    log_line_append_words(line, "\"");
    log_line_append_value(line, &escape_json, text, size);
    log_line_append_words(line, "\"");
}

/* Whether the text is a number to every reader of JSON: digits without leading zeros, and not too many of them. */
static bool json_is_integer(const char *text, size_t size)
{
    if (size == 0 || size > 18 || (text[0] == '0' && size > 1))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    return true;
}

static void json_append_pair(struct log_line *line, const struct log_value *value)
{
    json_append_string(line, value->key, strlen(value->key));
    log_line_append_words(line, ":");
    if (value->integer && json_is_integer(value->text, value->size))
        log_line_append(line, value->text, value->size);
    else
        json_append_string(line, value->text, value->size);
}

static void json_append_field(struct log_line *line, const struct weft_field *field)
{
    const char *name = field->name ? field->name : "";

    json_append_string(line, name, strnlen(name, LOG_VALUE_MAX + 1));
    log_line_append_words(line, ":");
    if (field->kind == WEFT_FIELD_INTEGER)
        log_line_append_integer(line, field->integer);
    else if (field->kind == WEFT_FIELD_REAL && isfinite(field->real))
        log_line_append_real(line, field->real);
    else if (field->kind == WEFT_FIELD_TEXT && field->text)
        json_append_string(line, field->text, strnlen(field->text, LOG_VALUE_MAX + 1));
    else
        log_line_append_words(line, "null");
}

/* Begins the next member of an object, the first one with `opening`. Gives false where there is no room for it, and
 * says in the object that members are missing. */
static bool json_begin_member(struct log_line *line, const char *opening, size_t index)
{
    log_line_append_words(line, index == 0 ? opening : ",");
    if (!log_line_is_crowded(line))
        return true;
    log_line_append_words(line, "\"...\":\"[cut]\"");
    return false;
}

size_t log_format_json(const struct log_record *record, char *buffer, size_t size)
{
    struct log_line line;

    log_line_init(&line, buffer, size);
    log_line_append_words(&line, "{\"ts\":\"");
    log_line_append_time(&line, record->time_us);
    log_line_append_words(&line, "\",\"level\":\"");
    log_line_append_words(&line, log_level_name(record->level));
    log_line_append_words(&line, "\",\"msg\":");
    json_append_string(&line, record->message, record->message_size);
    for (size_t i = 0; i < record->label_count && !log_line_is_crowded(&line); i++) {
        log_line_append_words(&line, ",");
        json_append_pair(&line, &record->labels[i]);
    }
    if (record->node) {
        log_line_append_words(&line, ",\"node\":");
        json_append_string(&line, record->node, strlen(record->node));
    }
    log_line_append_words(&line, ",\"pid\":");
    log_line_append_integer(&line, record->pid);
    for (size_t i = 0; i < record->context_count && json_begin_member(&line, ",\"ctx\":{", i); i++)
        json_append_pair(&line, &record->context[i]);
    if (record->context_count > 0)
        log_line_append_words(&line, "}");
    for (size_t i = 0; i < record->field_count && json_begin_member(&line, ",\"data\":{", i); i++)
        json_append_field(&line, &record->fields[i]);
    if (record->field_count > 0)
        log_line_append_words(&line, "}");
    log_line_append_words(&line, "}");
    return log_line_finish(&line);
}
