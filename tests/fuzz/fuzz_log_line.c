/*
 * The formats of the log: whatever a record holds becomes one line, without control characters, that gives away nothing
 * of what is in it: JSON that another parser reads, and text that has the same words with colours and without.
 *
 * An input is a record, as tests/fuzz/fields.h has fields. The first letter of a name says what a field is, and the
 * rest is its key: `m` the message, `@` the time (us), `v` the level, `n` the node, `l` and `L` a label (`L`: shown as
 * a number), `c` a value of the context, `t`, `i` and `r` a field of the line (text, integer, real). The first label
 * is what the line is about if its name begins with `s`.
 */
#include <math.h>

#include <jansson.h>

#include "context/log/log_json.h"
#include "context/log/log_line.h"
#include "context/log/log_text.h"
#include "tests/fuzz/fields.h"
#include "tests/fuzz/support.h"

/* Enough for a value that is cut. Longer inputs can make lines of half a megabyte, each of which takes the time of
 * thousands of others; those are for the unit tests. */
#define INPUT_MAX 320

#define FIELDS_MAX 96
#define LONG_LINE  4096

/* ---- The record ---- */

struct input {
    struct log_record record;
    struct log_value labels[LOG_LABELS_MAX];
    struct log_value context[LOG_CONTEXT_MAX];
    struct weft_field fields[FIELDS_MAX];
    char *texts[3 * FUZZ_FIELDS_MAX]; /* to be freed */
    size_t text_count;
};

static char *keep(struct input *input, char *text)
{
    input->texts[input->text_count++] = text;
    return text;
}

static char *take_text(struct input *input, const char *bytes, size_t size)
{
    return keep(input, fuzz_copy_text(bytes, size));
}

/* Where a size is given, no NUL follows. */
static struct log_value take_value(struct input *input, const struct fuzz_field *field, bool integer)
{
    return (struct log_value){
        .key = take_text(input, field->name + 1, field->name_size - 1),
        .text = keep(input, fuzz_copy(field->value, field->value_size)),
        .size = field->value_size,
        .integer = integer,
    };
}

static void add_label(struct input *input, const struct fuzz_field *field)
{
    struct log_record *record = &input->record;

    if (record->label_count == LOG_LABELS_MAX)
        return;
    record->has_first_label = record->has_first_label || (record->label_count == 0 && field->name[0] == 's');
    input->labels[record->label_count++] = take_value(input, field, field->name[0] == 'L');
}

static void add_context(struct input *input, const struct fuzz_field *field)
{
    if (input->record.context_count < LOG_CONTEXT_MAX)
        input->context[input->record.context_count++] = take_value(input, field, false);
}

static void add_own(struct input *input, const struct fuzz_field *field)
{
    const char *name = take_text(input, field->name + 1, field->name_size - 1);
    const char *text = take_text(input, field->value, field->value_size);
    struct weft_field own = WEFT_TEXT(name, field->has_value ? text : NULL);

    if (input->record.field_count == FIELDS_MAX)
        return;
    if (field->name[0] == 'i')
        own = WEFT_INT(name, strtoll(text, NULL, 10));
    if (field->name[0] == 'r')
        own = WEFT_REAL(name, strtod(text, NULL));
    input->fields[input->record.field_count++] = own;
}

static void add_field(struct input *input, const struct fuzz_field *field)
{
    struct log_record *record = &input->record;

    switch (field->name_size > 0 ? field->name[0] : '\0') {
    case 'm':
        record->message = keep(input, fuzz_copy(field->value, field->value_size));
        record->message_size = field->value_size;
        break;
    case '@':
        record->time_us = strtoll(take_text(input, field->value, field->value_size), NULL, 10);
        break;
    case 'v':
        record->level = (enum weft_level)(field->value_size % 4);
        break;
    case 'n':
        record->node = take_text(input, field->value, field->value_size);
        break;
    case 'l':
    case 'L':
    case 's':
        add_label(input, field);
        break;
    case 'c':
        add_context(input, field);
        break;
    default:
        if (field->name_size > 0)
            add_own(input, field);
    }
}

static void input_init(struct input *input, const struct fuzz_fields *fields)
{
    input->record = (struct log_record){
        .message = "", .labels = input->labels, .context = input->context, .fields = input->fields, .pid = 4711};
    input->text_count = 0;
    for (size_t i = 0; i < fields->count; i++)
        add_field(input, &fields->items[i]);
}

static void input_done(struct input *input)
{
    while (input->text_count > 0)
        free(input->texts[--input->text_count]);
}

/* ---- Lines ---- */

struct line {
    char *text;
    size_t size; /* without the line feed */
};

enum format { FORMAT_JSON, FORMAT_TEXT, FORMAT_COLOUR };

static size_t format_record(enum format format, const struct log_record *record, char *buffer, size_t size)
{
    if (format == FORMAT_JSON)
        return log_format_json(record, buffer, size);
    return log_format_text(record, format == FORMAT_COLOUR, buffer, size);
}

/* Every line fits in LOG_LINE_MAX; into its own size it fits too, and into one byte less it does not. That is not asked
 * of long lines, which would take the time of many short ones. */
static struct line make_line(enum format format, const struct log_record *record)
{
    static char largest[LOG_LINE_MAX];
    size_t size = format_record(format, record, largest, sizeof(largest));
    char *text;

    REQUIRE(size > 0 && size <= LOG_LINE_MAX && largest[size - 1] == '\n', "a line of %zu bytes", size);
    text = malloc(size);
    REQUIRE(text, "no memory");
    if (size > LONG_LINE) {
        memcpy(text, largest, size);
        return (struct line){text, size - 1};
    }
    REQUIRE(format_record(format, record, text, size - 1) == 0, "a line fits where there is no room for it");
    REQUIRE(format_record(format, record, text, size) == size && memcmp(text, largest, size) == 0, "two lines differ");
    return (struct line){text, size - 1};
}

/* What of a string is left as it is. */
static void check_json_text(const json_t *value, const char *text, size_t size)
{
    REQUIRE(json_is_string(value), "no string");
    if (size <= LOG_VALUE_MAX && fuzz_is_utf8(text, size))
        REQUIRE(json_string_length(value) == size && memcmp(json_string_value(value), text, size) == 0,
                "a text became another: %s", json_string_value(value));
}

static void check_json_number(const json_t *value, const struct weft_field *field)
{
    if (field->kind == WEFT_FIELD_INTEGER)
        REQUIRE(json_is_integer(value) && json_integer_value(value) == field->integer, "an integer became another");
    if (field->kind == WEFT_FIELD_REAL)
        REQUIRE(isfinite(field->real) ? json_number_value(value) == field->real : json_is_null(value),
                "%.17g became another", field->real);
}

static void check_json(const struct log_record *record, bool cut)
{
    struct line line = make_line(FORMAT_JSON, record);
    json_error_t error;
    json_t *object = json_loadb(line.text, line.size, JSON_ALLOW_NUL, &error);

    REQUIRE(object && json_is_object(object), "no object: %s: %.*s", error.text, (int)line.size, line.text);
    fuzz_check_line(line.text, line.size);
    if (!cut && record->label_count == 0)
        check_json_text(json_object_get(object, "msg"), record->message, record->message_size);
    if (!cut && record->field_count == 1)
        check_json_number(json_object_iter_value(json_object_iter(json_object_get(object, "data"))), record->fields);
    json_decref(object);
    free(line.text);
}

/* Takes the colours out: ESC [ digits and semicolons m. */
FUZZ_UNWATCHED static size_t strip_colours(char *text, size_t size)
{
    size_t to = 0;

    for (size_t at = 0; at < size; at++) {
        if (text[at] != '\x1b') {
            text[to++] = text[at];
            continue;
        }
        REQUIRE(size - at > 2 && text[at + 1] == '[', "an escape that is no colour");
        for (at += 2; at < size && text[at] != 'm'; at++)
            REQUIRE((text[at] >= '0' && text[at] <= '9') || text[at] == ';', "an escape that is no colour");
    }
    return to;
}

static void check_text(const struct log_record *record)
{
    struct line plain = make_line(FORMAT_TEXT, record), coloured;

    fuzz_check_line(plain.text, plain.size);
    if (plain.size < LONG_LINE) {
        coloured = make_line(FORMAT_COLOUR, record);
        coloured.size = strip_colours(coloured.text, coloured.size);
        REQUIRE(coloured.size == plain.size && memcmp(coloured.text, plain.text, plain.size) == 0,
                "colours change the words: %.*s", (int)plain.size, plain.text);
        free(coloured.text);
    }
    free(plain.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct fuzz_fields fields;
    static struct input input;

    if (size > INPUT_MAX)
        return 0;
    fuzz_fields_decode(&fields, bytes, size);
    input_init(&input, &fields);
    check_json(&input.record, fields.used > LOG_VALUE_MAX);
    check_text(&input.record);
    input_done(&input);
    return 0;
}
