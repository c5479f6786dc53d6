#include "daemon/cli/log_match.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "queue/message/units.h"

#define TIME_SIZE   (sizeof("2026-11-23T20:00:00.000000Z") - 1)
#define SECOND_SIZE (sizeof("2026-11-23T20:00:00") - 1)
#define NEEDLE_SIZE 192

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

bool log_match_line(const char *line, size_t size, const char *id, int64_t *ret_time_us)
{
    char needle[NEEDLE_SIZE];
    int needle_size = snprintf(needle, sizeof(needle), "_id\":\"%s\"", id);

    assert(needle_size < NEEDLE_SIZE);

    /* That the ID stands behind one of the two keys can be seen without parsing; only then is it worth while. */
    if (!memmem(line, size, needle, (size_t)needle_size))
        return false;
    json_t *object = log_match_parse(line, size);
    if (!object)
        return false;
    const json_t *time = json_object_get(object, "ts");
    bool matches = json_is_string(time) &&
                   log_match_time(json_string_value(time), json_string_length(time), ret_time_us) == 0 &&
                   (has_value(object, "job_id", id) || has_value(object, "root_id", id));

    json_decref(object);
    return matches;
}
