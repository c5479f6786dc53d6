#include "queue/message/instruction.h"

#include <errno.h>
#include <string.h>

#include "context/macros.h"
#include "context/name.h"
#include "context/time.h"
#include "queue/message/units.h"

#define DAY_MS               (24 * 60 * 60 * INT64_C(1000))
#define UNIQUE_SIZE_MAX      256
#define CHARGED_ATTEMPTS_MAX 1000000

#define WEFT_WRITES_IT "; weft writes this field itself, so leave it out"

struct row {
    const char *name;
    size_t name_size;
    bool (*read)(const struct row *row, const char *bytes, size_t size, int64_t *ret_number);
    int64_t min; /* of numbers */
    int64_t max;
    const char *expected; /* completes the sentence `NAME "VALUE" is not ...` */
};

static bool read_type(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    (void)row;
    (void)ret_number;
    return name_is_valid(bytes, size);
}

static bool read_job_id(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    (void)row;
    (void)ret_number;
    return name_is_job_id(bytes, size);
}

static bool read_unique(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    (void)row;
    (void)ret_number;
    if (size < 1 || size > UNIQUE_SIZE_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~')
            return false;
    }
    return true;
}

/* For what may be anything, or is looked at elsewhere because a bad value is no reason to refuse the message. */
static bool read_any(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    (void)row;
    (void)bytes;
    (void)size;
    (void)ret_number;
    return true;
}

static bool read_integer(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    return units_parse_integer(bytes, size, row->min, row->max, ret_number) == 0;
}

static bool read_duration(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    int64_t duration;

    if (units_parse_duration(bytes, size, &duration) < 0 || duration < row->min || duration > row->max)
        return false;
    *ret_number = duration;
    return true;
}

static bool read_time(const struct row *row, const char *bytes, size_t size, int64_t *ret_number)
{
    (void)row;
    return units_parse_time(bytes, size, ret_number) == 0;
}

/* A name and its size. */
#define NAME(literal_) (literal_), sizeof(literal_) - 1

static const struct row rows[INSTRUCTION_COUNT] = {
    [INSTRUCTION_ID] = {NAME("id"), read_job_id, .expected = "a job ID, which is " NAME_JOB_ID_ALPHABET},
    [INSTRUCTION_AT] = {NAME("at"), read_time,
                        .expected =
                            "a time up to the year 9999, written like 2026-11-23T20:00:00Z or in Unix seconds, not "
                            "milliseconds"},
    [INSTRUCTION_TYPE] = {NAME("type"), read_type, .expected = "a job type, which is " NAME_ALPHABET},
    [INSTRUCTION_ROOT] = {NAME("root"), read_job_id, .expected = "a job ID, which is " NAME_JOB_ID_ALPHABET},
    [INSTRUCTION_DELAY] = {NAME("delay"), read_duration, 0, INT64_MAX,
                           "a duration of at most ten years, such as 30s or 5m"},
    [INSTRUCTION_PARENT] = {NAME("parent"), read_job_id, .expected = "a job ID, which is " NAME_JOB_ID_ALPHABET},
    [INSTRUCTION_UNIQUE] = {NAME("unique"), read_unique,
                            .expected = "a key, which is 1 to 256 printable ASCII characters"},
    [INSTRUCTION_PAYLOAD] = {NAME("payload"), read_any, .expected = NULL},
    [INSTRUCTION_TIMEOUT] = {NAME("timeout"), read_duration, 1, 7 * DAY_MS,
                             "a duration from 1ms to 7d, such as 30s or 5m"},
    [INSTRUCTION_WEFT_ID] = {NAME("weft.id"), read_job_id,
                             .expected = "a job ID, which is " NAME_JOB_ID_ALPHABET WEFT_WRITES_IT},
    [INSTRUCTION_ATTEMPTS] = {NAME("attempts"), read_integer, 1, 1000, "a whole number from 1 to 1000"},
    [INSTRUCTION_UNIQUE_FOR] = {NAME("unique_for"), read_duration, 1, 30 * DAY_MS,
                                "a duration from 1ms to 30d, such as 5m or 1h"},
    [INSTRUCTION_TRACESTATE] = {NAME("tracestate"), read_any, .expected = NULL},
    [INSTRUCTION_TRACEPARENT] = {NAME("traceparent"), read_any, .expected = NULL},
    [INSTRUCTION_WEFT_UNIQUE] = {NAME("weft.unique"), read_any, .expected = NULL},
    [INSTRUCTION_WEFT_ATTEMPT] = {NAME("weft.attempt"), read_integer, 0, CHARGED_ATTEMPTS_MAX,
                                  "a whole number from 0 to 1000000" WEFT_WRITES_IT},
    [INSTRUCTION_WEFT_ENQUEUED_AT] = {NAME("weft.enqueued_at"), read_integer, 0, TIME_UNIX_MAX_MS,
                                      "a time in Unix milliseconds" WEFT_WRITES_IT},
    [INSTRUCTION_WEFT_DUPLICATE_OF] = {NAME("weft.duplicate_of"), read_job_id,
                                       .expected = "a job ID, which is " NAME_JOB_ID_ALPHABET WEFT_WRITES_IT},
};

enum instruction instruction_find(const char *name, size_t size)
{
    /* Metadata is told from instructions mostly by the sizes of the names. */
    for (unsigned i = 0; i < INSTRUCTION_COUNT; i++)
        if (rows[i].name_size == size && memcmp(rows[i].name, name, size) == 0)
            return (enum instruction)i;
    return INSTRUCTION_NONE;
}

int instructions_read(struct instructions *instructions, struct message_rejection *rejection)
{
    for (unsigned i = 0; i < INSTRUCTION_COUNT; i++) {
        const struct message_field *field = instructions->given[i];

        if (field && !rows[i].read(&rows[i], field->value, field->value_size, &instructions->numbers[i])) {
            struct rejection_quote quote = rejection_quote(field->value, field->value_size);

            rejection_write_reason(rejection, "%s %s is not %s", rows[i].name, quote.text, rows[i].expected);
            return -EBADMSG;
        }
    }
    return 0;
}
