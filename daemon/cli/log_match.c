#include "daemon/cli/log_match.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "context/log/log.h"
#include "context/name.h"
#include "queue/message/units.h"

#define TIME_SIZE   (sizeof("2026-11-23T20:00:00.000000Z") - 1)
#define SECOND_SIZE (sizeof("2026-11-23T20:00:00") - 1)
#define NEEDLE_SIZE (NAME_SIZE_MAX + 32)

/* ---- Time ---- */

int log_match_time(const char *text, size_t size, int64_t *ret_us)
{
    int64_t time_ms, below_ms = 0;

    if (size != TIME_SIZE || text[SECOND_SIZE] != '.' || text[TIME_SIZE - 1] != 'Z' ||
        units_parse_time(text, size, &time_ms) < 0)
        return -EINVAL;
    /* What is finer than a millisecond, which units_parse_time() has read as digits and cut off. */
    for (size_t i = SECOND_SIZE + 4; i < TIME_SIZE - 1; i++)
        below_ms = 10 * below_ms + (text[i] - '0');
    *ret_us = 1000 * time_ms + below_ms;
    return 0;
}

/* ---- JSON ---- */

json_t *log_match_parse(const char *line, size_t size)
{
    json_t *object = json_loadb(line, size, JSON_ALLOW_NUL, NULL);

    if (object && json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

static bool has_value(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && strcmp(text, value) == 0;
}

static bool has_level(const json_t *object, enum weft_level least)
{
    const char *name = json_string_value(json_object_get(object, "level"));

    for (enum weft_level level = least; name && level <= WEFT_ERROR; level++)
        if (strcmp(name, log_level_name(level)) == 0)
            return true;
    return false;
}

/* Whether it may be wanted, as far as can be seen without parsing: that the ID stands behind one of two keys, or the
 * type behind its own. Only then parsing is worth while. */
static bool may_match(const char *line, size_t size, const struct log_filter *filter)
{
    char needle[NEEDLE_SIZE];

    if (filter->id) {
        int needle_size = snprintf(needle, sizeof(needle), "_id\":\"%s\"", filter->id);

        assert(needle_size < NEEDLE_SIZE);
        if (!memmem(line, size, needle, (size_t)needle_size))
            return false;
    }
    if (filter->type) {
        int needle_size = snprintf(needle, sizeof(needle), "\"type\":\"%s\"", filter->type);

        assert(needle_size < NEEDLE_SIZE);
        return memmem(line, size, needle, (size_t)needle_size);
    }
    return true;
}

bool log_match_line(const char *line, size_t size, const struct log_filter *filter, int64_t *ret_time_us)
{
    if (!may_match(line, size, filter))
        return false;
    json_t *object = log_match_parse(line, size);
    if (!object)
        return false;
    const json_t *time = json_object_get(object, "ts");
    bool matches = json_is_string(time) &&
                   log_match_time(json_string_value(time), json_string_length(time), ret_time_us) == 0 &&
                   *ret_time_us >= filter->since_us && has_level(object, filter->level) &&
                   (!filter->type || has_value(object, "type", filter->type)) &&
                   (!filter->id || has_value(object, "job_id", filter->id) || has_value(object, "root_id", filter->id));

    json_decref(object);
    return matches;
}
