#include "daemon/config/value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/macros.h"
#include "context/name.h"
#include "daemon/config/address.h"
#include "daemon/config/table.h"
#include "queue/message/units.h"

#define FRACTION_DIGITS_MAX 9

/* ---- Quantities ---- */

static int parse_integer(const char *text, size_t size, int64_t *ret_value)
{
    return units_parse_integer(text, size, 0, INT64_MAX, ret_value);
}

/* The bounds are kept in the table as people write them, and read as values are. */
static int read_quantity(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                         void *field)
{
    int (*parse)(const char *text, size_t size, int64_t *ret_value) = key->type->parse;
    int64_t min = 0, max = 0, value;
    int r = parse(key->min, strlen(key->min), &min);

    (void)reader;
    if (r == 0)
        r = parse(key->max, strlen(key->max), &max);
    assert(r == 0 && min <= max);
    if (parse(scalar->text, scalar->size, &value) < 0 || value < min || value > max)
        return -EINVAL;
    *(int64_t *)field = value;
    return 0;
}

static int read_count(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                      void *field)
{
    int64_t value;
    int r = read_quantity(reader, key, scalar, &value);

    if (r == 0)
        *(unsigned *)field = (unsigned)value;
    return r;
}

static void describe_number(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "a whole number between %s and %s", key->min, key->max);
}

static void describe_duration(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "a duration between %s and %s (units: ms, s, m, h, d)", key->min, key->max);
}

static void describe_size(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "a size between %s and %s (units: B, KiB, MiB, GiB)", key->min, key->max);
}

/* `0` or `1` and perhaps a point and digits. By hand, because strtod() takes hexadecimal, infinities, and the decimal
 * point of the locale. */
static int read_fraction(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                         void *field)
{
    const char *text = scalar->text;
    int64_t number, scale = 1;

    (void)reader;
    (void)key;
    if ((text[0] != '0' && text[0] != '1') || (text[1] != '\0' && text[1] != '.') || scalar->size == 2 ||
        scalar->size > 2 + FRACTION_DIGITS_MAX)
        return -EINVAL;
    number = text[0] - '0';
    for (size_t i = 2; i < scalar->size; i++, scale *= 10) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        number = number * 10 + (text[i] - '0');
    }
    if (number > scale)
        return -EINVAL;
    *(double *)field = (double)number / (double)scale;
    return 0;
}

static void describe_fraction(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "a number between %s and %s, such as 0.2", key->min, key->max);
}

/* ---- Words ---- */

static int read_choice(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                       void *field)
{
    (void)reader;
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(scalar->text, key->choices[i]) == 0) {
            *(int *)field = i;
            return 0;
        }
    }
    return -EINVAL;
}

static void describe_choice(const struct config_key *key, struct config_text *text)
{
    size_t count = 0;

    while (key->choices[count])
        count++;
    for (size_t i = 0; i < count; i++)
        config_text_add_listed(text, key->choices[i], i, count, "or");
}

static int read_flag(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                     void *field)
{
    (void)reader;
    (void)key;
    if (strcmp(scalar->text, "true") != 0 && strcmp(scalar->text, "false") != 0)
        return -EINVAL;
    *(bool *)field = scalar->text[0] == 't';
    return 0;
}

static void describe_flag(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, "true or false");
}

void config_string_replace(void *field, char *text)
{
    char *earlier;

    assert(text);

    /* A field may be a `const char *`, which must not be read or written as a `char *`. */
    memcpy(&earlier, field, sizeof(earlier));
    free(earlier);
    memcpy(field, &text, sizeof(text));
}

static int set_string(void *field, char *text)
{
    if (!text)
        return -ENOMEM;
    config_string_replace(field, text);
    return 0;
}

static int read_name(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                     void *field)
{
    int64_t max;

    (void)reader;
    if (parse_integer(key->max, strlen(key->max), &max) < 0 || (int64_t)scalar->size > max ||
        !name_is_valid(scalar->text, scalar->size))
        return -EINVAL;
    return set_string(field, strdup(scalar->text));
}

static void describe_name(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "1 to %s of the characters A-Z a-z 0-9 . _ -", key->max);
}

static int read_wildcard(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                         void *field)
{
    if (strcmp(scalar->text, "*") == 0)
        return set_string(field, strdup(scalar->text));
    return read_name(reader, key, scalar, field);
}

static void describe_wildcard(const struct config_key *key, struct config_text *text)
{
    describe_name(key, text);
    config_text_add(text, ", or '*' for all");
}

/* ---- Paths ---- */

static int read_path(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                     void *field)
{
    CLEANUP_FREE char *path = NULL;

    (void)key;
    if (scalar->size == 0)
        return -EINVAL;
    path = config_reader_resolve(reader, scalar->text);
    if (!path)
        return -ENOMEM;
    if (strlen(path) >= PATH_MAX)
        return -EINVAL;
    return set_string(field, TAKE_POINTER(path));
}

static void describe_path(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, "a path of 1 to %d bytes", PATH_MAX - 1);
}

static int read_output(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                       void *field)
{
    static const char *const streams[] = {"auto", "stderr", "stdout", "journal"};

    for (size_t i = 0; i < ELEMENTS(streams); i++)
        if (strcmp(scalar->text, streams[i]) == 0)
            return set_string(field, strdup(scalar->text));
    return read_path(reader, key, scalar, field);
}

static void describe_output(const struct config_key *key, struct config_text *text)
{
    config_text_add(text, "auto, journal, stderr, stdout or ");
    describe_path(key, text);
}

/* ---- Libraries ---- */

static bool is_file_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("._+-", text[i]))
            return false;
    return size > 0 && size <= NAME_MAX;
}

static int read_library(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                        void *field)
{
    (void)reader;
    (void)key;
    if (*scalar->text == '/' ? scalar->size >= PATH_MAX : !is_file_name(scalar->text, scalar->size))
        return -EINVAL;
    return set_string(field, strdup(scalar->text));
}

static void describe_library(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, "the name of a library's file, such as libexample.so.1, or its absolute path");
}

/* ---- Addresses ---- */

static int read_address(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                        void *field)
{
    struct sockaddr_storage address;
    socklen_t size;
    int r = config_address_parse(scalar->text, &address, &size);

    (void)reader;
    (void)key;
    return r < 0 ? r : set_string(field, strdup(scalar->text));
}

static void describe_address(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, "PORT, ADDRESS:PORT or [ADDRESS]:PORT in digits, such as 127.0.0.1:7788");
}

const struct config_type config_type_count = {.read = read_count, .describe = describe_number, .parse = parse_integer};
const struct config_type config_type_number = {
    .read = read_quantity, .describe = describe_number, .parse = parse_integer};
const struct config_type config_type_duration = {
    .read = read_quantity, .describe = describe_duration, .parse = units_parse_duration};
const struct config_type config_type_size = {
    .read = read_quantity, .describe = describe_size, .parse = units_parse_size};
const struct config_type config_type_fraction = {.read = read_fraction, .describe = describe_fraction};
const struct config_type config_type_choice = {.read = read_choice, .describe = describe_choice};
const struct config_type config_type_flag = {.read = read_flag, .describe = describe_flag};
const struct config_type config_type_name = {.read = read_name, .describe = describe_name};
const struct config_type config_type_wildcard = {.read = read_wildcard, .describe = describe_wildcard};
const struct config_type config_type_path = {.read = read_path, .describe = describe_path};
const struct config_type config_type_output = {.read = read_output, .describe = describe_output};
const struct config_type config_type_library = {.read = read_library, .describe = describe_library};
const struct config_type config_type_address = {.read = read_address, .describe = describe_address};
