/* Messages that are refused: the exact sentence for each, and no way around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "tests/unit/message_support.h"

#define NAME "1 to 128 of the characters A-Z a-z 0-9 . _ -"
#define ID   "a job ID, which is 1 to 128 of the characters A-Z a-z 0-9 . _ : -"
#define OWN  "; weft writes this field itself, so leave it out"
#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16
#define X128 X64 X64
#define MAIL FIELD("type", "mail")

static void assert_refused(struct parsed parsed, const char *reason)
{
    assert_int_equal(parsed.result, -EBADMSG);
    assert_null(parsed.job);
    assert_string_equal(parsed.rejection.reason, reason);
}

static void message_without_type(void **state)
{
    (void)state;
    assert_refused(message_support_parse(NULL, 0),
                   "the message has no type; add a field \"type\" that names a job type");
    assert_refused(PARSE(FIELD("payload", "x"), FIELD("tenant", "acme")),
                   "the message has no type; add a field \"type\" that names a job type");
}

static void bad_type(void **state)
{
    (void)state;
    assert_refused(PARSE(FIELD("type", "")), "type \"\" is not a job type, which is " NAME);
    assert_refused(PARSE(FIELD("type", "a b")), "type \"a b\" is not a job type, which is " NAME);
    assert_refused(PARSE(FIELD("type", "a:b")), "type \"a:b\" is not a job type, which is " NAME);
    assert_refused(PARSE(FIELD("type", "mail\0")), "type \"mail\\x00\" is not a job type, which is " NAME);
    assert_refused(PARSE(MAIL, FIELD("type", "caf\xc3\xa9")),
                   "type \"caf\\xc3\\xa9\" is not a job type, which is " NAME);
    assert_refused(PARSE(FIELD("type", X128 "x")), "type \"" X64 "\"... is not a job type, which is " NAME);
}

static void unknown_type(void **state)
{
    (void)state;
    assert_refused(PARSE(FIELD("type", "nosuch")),
                   "type \"nosuch\" is not configured; add it under jobs: or correct the message");
}

static void bad_field_name(void **state)
{
    (void)state;
    assert_refused(PARSE(MAIL, FIELD("", "x")), "the field name \"\" is not " NAME);
    assert_refused(PARSE(MAIL, FIELD("a b", "x")), "the field name \"a b\" is not " NAME);
    assert_refused(PARSE(MAIL, FIELD("a:b", "x")), "the field name \"a:b\" is not " NAME);
    assert_refused(PARSE(MAIL, FIELD("ok", "x"), FIELD("X-Evil: 1\r\nY", "x")),
                   "the field name \"X-Evil: 1\\x0d\\x0aY\" is not " NAME);
    assert_refused(PARSE(MAIL, FIELD("weft.\x1b[31m", "x")), "the field name \"weft.\\x1b[31m\" is not " NAME);
    assert_refused(PARSE(MAIL, FIELD(X128 "y", "x")), "the field name \"" X64 "\"... is not " NAME);
}

static void bad_job_id(void **state)
{
    (void)state;
    assert_refused(PARSE(MAIL, FIELD("id", "")), "id \"\" is not " ID);
    assert_refused(PARSE(MAIL, FIELD("id", "a b")), "id \"a b\" is not " ID);
    assert_refused(PARSE(MAIL, FIELD("id", X128 "x")), "id \"" X64 "\"... is not " ID);
    assert_refused(PARSE(MAIL, FIELD("parent", "a/b")), "parent \"a/b\" is not " ID);
    assert_refused(PARSE(MAIL, FIELD("root", "{a}")), "root \"{a}\" is not " ID);
}

static void bad_delay_or_at(void **state)
{
    static const char delay[] = "delay %s is not a duration of at most ten years, such as 30s or 5m";
    static const char at[] = "at %s is not a time up to the year 9999, written like 2026-11-23T20:00:00Z or in Unix "
                             "seconds, not milliseconds";
    char reason[256];

    (void)state;
    snprintf(reason, sizeof(reason), delay, "\"soon\"");
    assert_refused(PARSE(MAIL, FIELD("delay", "soon")), reason);
    snprintf(reason, sizeof(reason), delay, "\"30\"");
    assert_refused(PARSE(MAIL, FIELD("delay", "30")), reason);
    snprintf(reason, sizeof(reason), delay, "\"-1s\"");
    assert_refused(PARSE(MAIL, FIELD("delay", "-1s")), reason);
    snprintf(reason, sizeof(reason), delay, "\"9999999d\"");
    assert_refused(PARSE(MAIL, FIELD("delay", "9999999d")), reason);
    snprintf(reason, sizeof(reason), delay, "\"\"");
    assert_refused(PARSE(MAIL, FIELD("delay", "")), reason);
    snprintf(reason, sizeof(reason), at, "\"tomorrow\"");
    assert_refused(PARSE(MAIL, FIELD("at", "tomorrow")), reason);
    snprintf(reason, sizeof(reason), at, "\"2026-02-30T00:00:00Z\"");
    assert_refused(PARSE(MAIL, FIELD("at", "2026-02-30T00:00:00Z")), reason);
    snprintf(reason, sizeof(reason), at, "\"1763922000123\"");
    assert_refused(PARSE(MAIL, FIELD("at", "1763922000123")), reason);
    assert_refused(PARSE(MAIL, FIELD("at", "1763922000"), FIELD("delay", "1s")),
                   "the message has both delay and at; send only one of them");
}

static void bad_attempts(void **state)
{
    static const char *const values[] = {"", "0", "1001", "-1", "+1", "3.5", "many", "01", "99999999999999999999"};
    struct message_field fields[] = {MAIL, FIELD("attempts", "")};
    char reason[256];

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        fields[1].value = values[i];
        fields[1].value_size = strlen(values[i]);
        snprintf(reason, sizeof(reason), "attempts \"%s\" is not a whole number from 1 to 1000", values[i]);
        assert_refused(message_support_parse(fields, 2), reason);
    }
}

static void bad_timeout(void **state)
{
    (void)state;
    assert_refused(PARSE(MAIL, FIELD("timeout", "0")),
                   "timeout \"0\" is not a duration from 1ms to 7d, such as 30s or 5m");
    assert_refused(PARSE(MAIL, FIELD("timeout", "169h")),
                   "timeout \"169h\" is not a duration from 1ms to 7d, such as 30s or 5m");
    assert_refused(PARSE(MAIL, FIELD("timeout", "5 m")),
                   "timeout \"5 m\" is not a duration from 1ms to 7d, such as 30s or 5m");
}

static void bad_unique(void **state)
{
    static const char long_key[] = X128 X128 "x";

    (void)state;
    assert_refused(PARSE(MAIL, FIELD("unique", "")),
                   "unique \"\" is not a key, which is 1 to 256 printable ASCII characters");
    assert_refused(PARSE(MAIL, FIELD("unique", "a\tb")),
                   "unique \"a\\x09b\" is not a key, which is 1 to 256 printable ASCII characters");
    assert_refused(PARSE(MAIL, FIELD("unique", long_key)),
                   "unique \"" X64 "\"... is not a key, which is 1 to 256 printable ASCII characters");
    assert_refused(PARSE(MAIL, FIELD("unique", "k"), FIELD("unique_for", "31d")),
                   "unique_for \"31d\" is not a duration from 1ms to 30d, such as 5m or 1h");
    assert_refused(PARSE(MAIL, FIELD("unique", "k"), FIELD("unique_for", "0s")),
                   "unique_for \"0s\" is not a duration from 1ms to 30d, such as 5m or 1h");
    assert_refused(PARSE(MAIL, FIELD("unique_for", "1h")),
                   "the message has unique_for but no unique; add unique or leave unique_for out");
}

static void bad_values_of_wefts_own_fields(void **state)
{
    (void)state;
    assert_refused(PARSE(MAIL, FIELD("weft.id", "a b")), "weft.id \"a b\" is not " ID OWN);
    assert_refused(PARSE(MAIL, FIELD("weft.attempt", "1000001")),
                   "weft.attempt \"1000001\" is not a whole number from 0 to 1000000" OWN);
    assert_refused(PARSE(MAIL, FIELD("weft.attempt", "")),
                   "weft.attempt \"\" is not a whole number from 0 to 1000000" OWN);
    assert_refused(PARSE(MAIL, FIELD("weft.enqueued_at", "253402300800000")),
                   "weft.enqueued_at \"253402300800000\" is not a time in Unix milliseconds" OWN);
}

static void metadata_ends_at_64_fields(void **state)
{
    struct message_field fields[1 + 2 * 65] = {MAIL};
    char names[65][3];
    struct parsed parsed;

    (void)state;
    for (size_t i = 0; i < 65; i++) {
        snprintf(names[i], sizeof(names[i]), "%02zu", i);
        fields[1 + i] = fields[1 + 65 + i] = (struct message_field){names[i], 2, "v", 1};
    }
    assert_refused(message_support_parse(fields, 1 + 65),
                   "the message has more than 64 metadata fields; send at most 64, and the rest as payload");

    /* Names that come a second time are not counted again. */
    fields[1 + 64] = fields[1];
    parsed = message_support_parse(fields, 1 + 65 + 64);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.job->metadata_count, 64);
    for (size_t i = 0; i < 64; i++)
        assert_string_equal(parsed.job->metadata[i].name, names[i]);
    job_free(parsed.job);
}

static void metadata_ends_at_16_kibibytes(void **state)
{
    static char value[16384];
    struct message_field fields[] = {MAIL, {"one", 3, value, 10000}, {"two", 3, value, 6378}, {"two", 3, value, 6379}};
    struct parsed parsed;

    (void)state;
    parsed = message_support_parse(fields, 3);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.job->metadata[1].size, 6378);
    job_free(parsed.job);
    assert_refused(message_support_parse(fields, 4),
                   "the metadata takes 16385 bytes, names and values together; send at most 16384, and the rest as "
                   "payload");

    /* Only the last value of a name takes room. */
    fields[1] = (struct message_field){"two", 3, value, sizeof(value)};
    parsed = message_support_parse(fields, 3);
    assert_int_equal(parsed.result, 0);
    job_free(parsed.job);
}

static void payload_ends_at_its_limit(void **state)
{
    static char payload[1025];
    struct message_field fields[] = {MAIL, {"payload", 7, payload, 1024}};
    struct parsed parsed;

    (void)state;
    parsed = message_support_parse(fields, 2);
    assert_int_equal(parsed.result, 0);
    job_free(parsed.job);
    fields[1].value_size = 1025;
    assert_refused(message_support_parse(fields, 2),
                   "the payload takes 1025 bytes; send at most 1024 or raise limits.payload");
}

static void rejection_names_the_job_and_type_where_they_are_readable(void **state)
{
    struct parsed parsed = PARSE(FIELD("a b", ""), MAIL, FIELD("id", "order:17"));

    (void)state;
    assert_string_equal(parsed.rejection.id, "order:17");
    assert_string_equal(parsed.rejection.type, "mail");

    parsed = PARSE(FIELD("id", "order:17"), FIELD("weft.id", "order:16"), FIELD("type", "nosuch"));
    assert_string_equal(parsed.rejection.id, "order:16");
    assert_string_equal(parsed.rejection.type, "nosuch");

    parsed = PARSE(FIELD("id", "\n"), FIELD("type", "\x1b]0;evil\a"));
    assert_string_equal(parsed.rejection.id, ENTRY_ID);
    assert_string_equal(parsed.rejection.type, "");

    parsed = PARSE(FIELD("id", X128), FIELD("type", X128), FIELD("attempts", "x"));
    assert_string_equal(parsed.rejection.id, X128);
    assert_string_equal(parsed.rejection.type, X128);
}

static void values_cannot_forge_the_sentence(void **state)
{
    static const char all_escaped[] = X64 "x";
    char value[sizeof(all_escaped)];
    struct message_field fields[] = {MAIL, {"weft.id", 7, value, sizeof(value)}};
    struct parsed parsed;

    (void)state;
    assert_refused(PARSE(MAIL, FIELD("attempts", "1\" is fine\\")),
                   "attempts \"1\\\" is fine\\\\\" is not a whole number from 1 to 1000");
    memset(value, '\n', sizeof(value));
    parsed = message_support_parse(fields, 2);
    assert_int_equal(parsed.result, -EBADMSG);
    assert_int_equal(strlen(parsed.rejection.reason), strlen("weft.id \"\"... is not " ID OWN) + (size_t)4 * 64);
    assert_null(strchr(parsed.rejection.reason, '\n'));
    assert_non_null(strstr(parsed.rejection.reason, "\\x0a\"... is not " ID OWN));
}

/* Far more fields than anybody may send, as names of equal shape, before the type. */
static void hundred_thousand_fields_are_read_to_the_last(void **state)
{
    enum { COUNT = 100000 };
    struct message_field *fields = calloc(COUNT, sizeof(*fields));
    char(*names)[8] = calloc(COUNT, sizeof(*names));
    struct parsed parsed;

    (void)state;
    assert_non_null(fields);
    assert_non_null(names);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "f%05zu", i);
        fields[i] = (struct message_field){names[i], 6, "", 0};
    }
    fields[COUNT - 1] = FIELD("type", "mail");
    parsed = message_support_parse(fields, COUNT);
    assert_refused(parsed, "the message has more than 64 metadata fields; send at most 64, and the rest as payload");
    assert_string_equal(parsed.rejection.type, "mail");

    for (size_t i = 0; i < COUNT - 1; i++)
        fields[i].name = names[i % 64];
    parsed = message_support_parse(fields, COUNT);
    assert_int_equal(parsed.result, 0);
    assert_int_equal(parsed.job->metadata_count, 64);
    job_free(parsed.job);
    free(names);
    free(fields);
}

/* ---- Random messages ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Mostly instructions and near misses, with values from a small stock, some of them damaged by one random byte. */
static struct message_field random_field(uint32_t *seed, char *bytes, size_t size)
{
    static const char *const names[] = {"type",    "payload",      "id",
                                        "delay",   "at",           "attempts",
                                        "timeout", "unique",       "unique_for",
                                        "parent",  "traceparent",  "tracestate",
                                        "weft.id", "weft.attempt", "weft.enqueued_at",
                                        "root",    "weft.mystery", "tenant",
                                        ""};
    static const char *const values[] = {"mail",
                                         "5",
                                         "30s",
                                         "a:b",
                                         "2026-11-23T20:00:00+01:00",
                                         "1763922000.5",
                                         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
    const char *name = names[next_random(seed) % (sizeof(names) / sizeof(names[0]))];
    const char *value = values[next_random(seed) % (sizeof(values) / sizeof(values[0]))];
    size_t name_size = strlen(name);
    size_t value_size = strlen(value);

    assert_true(name_size + value_size <= size);
    memcpy(bytes, name, name_size);
    memcpy(bytes + name_size, value, value_size);
    if (next_random(seed) % 4 == 0)
        bytes[next_random(seed) % (name_size + value_size)] = (char)next_random(seed);
    return (struct message_field){bytes, name_size, bytes + name_size, value_size};
}

static void random_messages_are_either_jobs_or_refusals(void **state)
{
    uint32_t seed = 20261123;
    unsigned jobs = 0;
    unsigned rejections = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct message_field fields[12];
        char bytes[12][128];
        size_t count = next_random(&seed) % 12;
        struct parsed parsed;

        for (size_t i = 0; i < count; i++)
            fields[i] = random_field(&seed, bytes[i], sizeof(bytes[i]));
        parsed = message_support_parse(fields, count);
        if (parsed.result == 0) {
            jobs++;
            assert_true(strlen(parsed.job->type) > 0 && parsed.job->payload[parsed.job->payload_size] == '\0');
        } else {
            rejections++;
            assert_int_equal(parsed.result, -EBADMSG);
            for (const char *c = parsed.rejection.reason; *c; c++)
                assert_true(*c >= ' ' && *c <= '~');
        }
        job_free(parsed.job);
    }
    assert_true(jobs > 100);
    assert_true(rejections > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_without_type),
        cmocka_unit_test(bad_type),
        cmocka_unit_test(unknown_type),
        cmocka_unit_test(bad_field_name),
        cmocka_unit_test(bad_job_id),
        cmocka_unit_test(bad_delay_or_at),
        cmocka_unit_test(bad_attempts),
        cmocka_unit_test(bad_timeout),
        cmocka_unit_test(bad_unique),
        cmocka_unit_test(bad_values_of_wefts_own_fields),
        cmocka_unit_test(metadata_ends_at_64_fields),
        cmocka_unit_test(metadata_ends_at_16_kibibytes),
        cmocka_unit_test(payload_ends_at_its_limit),
        cmocka_unit_test(rejection_names_the_job_and_type_where_they_are_readable),
        cmocka_unit_test(values_cannot_forge_the_sentence),
        cmocka_unit_test(hundred_thousand_fields_are_read_to_the_last),
        cmocka_unit_test(random_messages_are_either_jobs_or_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
