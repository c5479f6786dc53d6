/*
 * Lines of a log, read back by the command line: whatever stands in a file is no line of the log, or becomes a record
 * that is shown as one line without control characters. A record that is written again and read again looks the same,
 * and is found by its job's ID.
 */
#include <errno.h>

#include "context/log/log_json.h"
#include "context/log/log_line.h"
#include "context/log/log_text.h"
#include "context/name.h"
#include "daemon/cli/log_match.h"
#include "daemon/cli/log_record.h"
#include "tests/fuzz/support.h"

struct line {
    char text[LOG_LINE_MAX];
    size_t size; /* without the line feed */
};

static void finish_line(struct line *line, size_t size)
{
    REQUIRE(size > 0 && line->text[size - 1] == '\n', "no line");
    line->size = size - 1;
    fuzz_check_line(line->text, line->size);
}

/* Reads JSON into text; false: it is not a line of the log. */
static bool show(const char *json, size_t size, struct line *ret_text, struct line *ret_json)
{
    json_t *object = log_match_parse(json, size);
    struct log_record_copy copy;
    int r;

    if (!object)
        return false;
    r = log_record_init(&copy, object);
    REQUIRE(r == 0 || r == -EINVAL, "the result is %d", r);
    if (r == 0) {
        finish_line(ret_text, log_format_text(&copy.record, false, ret_text->text, sizeof(ret_text->text)));
        finish_line(ret_json, log_format_json(&copy.record, ret_json->text, sizeof(ret_json->text)));
        log_record_done(&copy);
    }
    json_decref(object);
    return r == 0;
}

/* That weft's own lines about a job are found. */
static void check_match(const struct line *line)
{
    json_t *object = log_match_parse(line->text, line->size);
    const json_t *value = json_object_get(object, "job_id");
    const char *id = json_string_value(value);
    int64_t time_us;

    if (id && name_is_job_id(id, json_string_length(value)))
        REQUIRE(log_match_line(line->text, line->size, &(struct log_filter){.id = id}, &time_us), "not found: %.*s",
                (int)line->size, line->text);
    json_decref(object);
}

/* Asks for an ID that the input itself may hold; the answer does not matter. */
static void match_anything(const char *line, size_t size)
{
    int64_t time_us;

    (void)log_match_line(line, size, &(struct log_filter){.id = "A", .level = WEFT_WARN}, &time_us);
    (void)log_match_line(line, size, &(struct log_filter){.type = "t", .since_us = 1}, &time_us);
}

/* The one number that comes back as another: -0.0 is written -0, which is an integer, and those have no -0. */
static bool has_negative_zero(const struct line *text)
{
    return memmem(text->text, text->size, "=-0", 3) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct line text, json, text_again, json_again;
    char *copy = fuzz_copy(bytes, size);

    match_anything(copy, size);
    if (size > 0 && show(copy, size, &text, &json) && size < LOG_VALUE_MAX) {
        REQUIRE(show(json.text, json.size, &text_again, &json_again), "not read again: %.*s", (int)json.size,
                json.text);
        REQUIRE(has_negative_zero(&text) ||
                    (text.size == text_again.size && memcmp(text.text, text_again.text, text.size) == 0),
                "\"%.*s\" became \"%.*s\"", (int)text.size, text.text, (int)text_again.size, text_again.text);
        check_match(&json);
    }
    free(copy);
    return 0;
}
