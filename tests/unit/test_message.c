/* Messages that become jobs. What is refused, and how, is in test_message_rejection.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "tests/unit/message_support.h"

#define TRACE       "0af7651916cd43dd8448eb211c80319c"
#define SPAN        "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE "-" SPAN "-01"

/* The job of a message that must be good; the caller frees it. */
#define ACCEPT(...) accept_parsed(PARSE(__VA_ARGS__))

static struct job *accept_parsed(struct parsed parsed)
{
    if (parsed.result != 0)
        fail_msg("%d: %s", parsed.result, parsed.rejection.reason);
    assert_non_null(parsed.job);
    return parsed.job;
}

static void assert_metadata(const struct job *job, size_t index, const char *name, const char *value, size_t size)
{
    assert_true(index < job->metadata_count);
    assert_string_equal(job->metadata[index].name, name);
    assert_int_equal(job->metadata[index].size, size);
    assert_memory_equal(job->metadata[index].value, value, size + 1);
}

static void message_becomes_a_job(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "user.profile"), FIELD("payload", "{\"user_id\":123}"),
                             FIELD("request_id", "req-A"), FIELD("tenant", "acme"));

    (void)state;
    assert_string_equal(job->id, ENTRY_ID);
    assert_string_equal(job->entry, ENTRY_ID);
    assert_string_equal(job->root, ENTRY_ID);
    assert_string_equal(job->type, "user.profile");
    assert_string_equal(job->queue, "default");
    assert_string_equal(job->payload, "{\"user_id\":123}");
    assert_int_equal(job->payload_size, 15);
    assert_int_equal(job->metadata_count, 2);
    assert_metadata(job, 0, "request_id", "req-A", 5);
    assert_metadata(job, 1, "tenant", "acme", 4);
    job_free(job);
}

static void type_alone_is_enough(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "t"));

    (void)state;
    assert_string_equal(job->payload, "");
    assert_int_equal(job->payload_size, 0);
    assert_int_equal(job->metadata_count, 0);
    assert_null(job->parent);
    assert_null(job->unique);
    assert_null(job->trace_id);
    assert_null(job->parent_span_id);
    assert_null(job->trace_flags);
    assert_null(job->tracestate);
    assert_int_equal(job->attempt, 1);
    assert_int_equal(job->attempts, 0);
    assert_int_equal(job->timeout_ms, 0);
    assert_int_equal(job->unique_for_ms, 0);
    assert_int_equal(job->due_ms, 0);
    assert_int_equal(job->enqueued_ms, ENTRY_MS);
    assert_int_equal(job->bad_traceparent, 0);
    job_free(job);
}

static void instructions_are_read_and_are_not_metadata(void **state)
{
    struct job *job =
        ACCEPT(FIELD("type", "mail"), FIELD("payload", "p"), FIELD("id", "order:17"), FIELD("delay", "30s"),
               FIELD("attempts", "1000"), FIELD("timeout", "7d"), FIELD("unique", "order 17 ~"),
               FIELD("unique_for", "30d"), FIELD("parent", "1-0"), FIELD("root", "0-1"),
               FIELD("traceparent", TRACEPARENT), FIELD("tracestate", "congo=t61"), FIELD("weft.id", "order:16"),
               FIELD("weft.attempt", "2"), FIELD("weft.enqueued_at", "1763922000400"));

    (void)state;
    assert_string_equal(job->id, "order:16");
    assert_string_equal(job->entry, ENTRY_ID);
    assert_string_equal(job->parent, "1-0");
    assert_string_equal(job->root, "0-1");
    assert_string_equal(job->unique, "order 17 ~");
    assert_string_equal(job->trace_id, TRACE);
    assert_string_equal(job->parent_span_id, SPAN);
    assert_string_equal(job->trace_flags, "01");
    assert_string_equal(job->tracestate, "congo=t61");
    assert_int_equal(job->attempt, 3);
    assert_int_equal(job->attempts, 1000);
    assert_int_equal(job->timeout_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(job->unique_for_ms, INT64_C(30) * 24 * 3600 * 1000);
    assert_int_equal(job->enqueued_ms, INT64_C(1763922000400));
    assert_int_equal(job->due_ms, INT64_C(1763922030400));
    assert_int_equal(job->metadata_count, 0);
    job_free(job);
}

static void root_of_a_job_with_an_id_is_itself(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("id", "order:17"));

    (void)state;
    assert_string_equal(job->id, "order:17");
    assert_string_equal(job->root, "order:17");
    job_free(job);
}

static void names_may_have_128_characters(void **state)
{
    struct message_field fields[] = {FIELD("type", ""), FIELD("id", ""), FIELD("", "value")};
    char longest[128];
    struct job *job;

    (void)state;
    memset(longest, 'x', sizeof(longest));
    fields[0].value = fields[1].value = fields[2].name = longest;
    fields[0].value_size = fields[1].value_size = fields[2].name_size = sizeof(longest);
    job = accept_parsed(message_support_parse(fields, 3));
    assert_int_equal(strlen(job->type), 128);
    assert_int_equal(strlen(job->id), 128);
    assert_int_equal(strlen(job->metadata[0].name), 128);
    job_free(job);
}

static void values_may_hold_any_byte_and_be_empty(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("payload", "a\0b\n\xff"), FIELD("bytes", "\0\x1b[2J\0"),
                             FIELD("empty", ""));

    (void)state;
    assert_int_equal(job->payload_size, 5);
    assert_memory_equal(job->payload, "a\0b\n\xff", 6);
    assert_metadata(job, 0, "bytes", "\0\x1b[2J\0", 6);
    assert_metadata(job, 1, "empty", "", 0);
    job_free(job);
}

static void last_of_a_name_counts_in_the_place_of_the_first(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "not a type"), FIELD("a", "1"), FIELD("b", "2"), FIELD("type", "mail"),
                             FIELD("payload", "old"), FIELD("a", "three"), FIELD("payload", ""));

    (void)state;
    assert_string_equal(job->type, "mail");
    assert_int_equal(job->payload_size, 0);
    assert_int_equal(job->metadata_count, 2);
    assert_metadata(job, 0, "a", "three", 5);
    assert_metadata(job, 1, "b", "2", 1);
    job_free(job);
}

static void names_that_only_resemble_instructions_are_metadata(void **state)
{
    static const char *const names[] = {"Type", "ID",      "typ",       "types",        "iid",      "payloads",
                                        "un",   "uniques", "weft",      "weftid",       "Weft.id",  "unique-for",
                                        "au",   "paren",   "trace_par", "tracesstates", "attempt_", "timeouts"};
    struct message_field fields[1 + sizeof(names) / sizeof(names[0])] = {FIELD("type", "mail")};
    size_t count = 1;
    struct job *job;

    (void)state;
    for (; count < sizeof(fields) / sizeof(fields[0]); count++)
        fields[count] = (struct message_field){names[count - 1], strlen(names[count - 1]), "v", 1};
    job = accept_parsed(message_support_parse(fields, count));
    assert_int_equal(job->metadata_count, count - 1);
    for (size_t i = 0; i < job->metadata_count; i++)
        assert_metadata(job, i, names[i], "v", 1);
    job_free(job);
}

static void fields_of_a_dead_letter_are_not_metadata(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("weft.id", "7-0"), FIELD("weft.error", "it\nbroke"),
                             FIELD("weft.attempts", "5"), FIELD("weft.node", "web1"), FIELD("weft.failed_at", "x"),
                             FIELD("weft.", ""), FIELD("tenant", "acme"));

    (void)state;
    assert_string_equal(job->id, "7-0");
    assert_int_equal(job->attempt, 1);
    assert_int_equal(job->metadata_count, 1);
    assert_metadata(job, 0, "tenant", "acme", 4);
    job_free(job);
}

static int64_t due_of(struct message_field when)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), when);
    int64_t due_ms = job->due_ms;

    job_free(job);
    return due_ms;
}

static void delay_counts_from_the_enqueueing(void **state)
{
    (void)state;
    assert_int_equal(due_of(FIELD("delay", "30s")), ENTRY_MS + 30000);
    assert_int_equal(due_of(FIELD("delay", "378ms")), ENTRY_MS + 378);
    assert_int_equal(due_of(FIELD("delay", "377ms")), 0);
    assert_int_equal(due_of(FIELD("delay", "0")), 0);
    assert_int_equal(due_of(FIELD("delay", "0s")), 0);
}

static void delay_of_a_job_put_back_is_not_waited_for_again(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("delay", "1h"), FIELD("weft.enqueued_at", "1763910000000"));

    (void)state;
    assert_int_equal(job->enqueued_ms, INT64_C(1763910000000));
    assert_int_equal(job->due_ms, 0);
    job_free(job);
}

static void at_is_a_time_and_due_at_once_when_past(void **state)
{
    (void)state;
    assert_int_equal(due_of(FIELD("at", "2025-11-23T18:21:00Z")), INT64_C(1763922060000));
    assert_int_equal(due_of(FIELD("at", "1763922060")), INT64_C(1763922060000));
    assert_int_equal(due_of(FIELD("at", "1763922000")), 0);
    assert_int_equal(due_of(FIELD("at", "0")), 0);
}

static int64_t enqueued_of(const char *entry_id)
{
    const struct message_field fields[] = {FIELD("type", "mail"), FIELD("delay", "10ms")};
    const struct message_limits limits = {.payload_max = 0};
    struct message_rejection rejection;
    int64_t enqueued_ms;
    struct job *job;

    assert_int_equal(message_parse("q", entry_id, fields, 2, NOW_MS, &limits, &job, &rejection), 0);
    assert_string_equal(job->id, entry_id);
    enqueued_ms = job->enqueued_ms;
    job_free(job);
    return enqueued_ms;
}

static void time_of_enqueueing_is_that_of_the_entry_where_it_has_one(void **state)
{
    (void)state;
    assert_int_equal(enqueued_of("1763922000123-0"), ENTRY_MS);
    assert_int_equal(enqueued_of("0-1"), 0);
    assert_int_equal(enqueued_of("18446744073709551615-18446744073709551615"), NOW_MS);
    assert_int_equal(enqueued_of("-1"), NOW_MS);
    assert_int_equal(enqueued_of(""), NOW_MS);
}

static void invalid_traceparent_is_ignored_with_its_tracestate(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("traceparent", TRACEPARENT "-"), FIELD("tracestate", "a=1"));

    (void)state;
    assert_int_equal(job->bad_traceparent, 1);
    assert_null(job->trace_id);
    assert_null(job->parent_span_id);
    assert_null(job->trace_flags);
    assert_null(job->tracestate);
    assert_int_equal(job->metadata_count, 0);
    job_free(job);
}

static void tracestate_without_traceparent_is_dropped(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("tracestate", "a=1"));

    (void)state;
    assert_int_equal(job->bad_traceparent, 0);
    assert_null(job->tracestate);
    job_free(job);
}

static void bad_tracestate_is_dropped_and_the_trace_kept(void **state)
{
    struct job *job = ACCEPT(FIELD("type", "mail"), FIELD("traceparent", "cc-" TRACE "-" SPAN "-03-future"),
                             FIELD("tracestate", "a=1\r\nx"));

    (void)state;
    assert_int_equal(job->bad_traceparent, 0);
    assert_string_equal(job->trace_id, TRACE);
    assert_string_equal(job->parent_span_id, SPAN);
    assert_string_equal(job->trace_flags, "03");
    assert_null(job->tracestate);
    job_free(job);
}

/* A size that no allocator has; nothing may be read before the memory is there. */
static void job_without_memory_is_no_refusal(void **state)
{
    const struct message_field fields[] = {FIELD("type", "mail"), {"payload", 7, "", INT64_MAX / 8}};
    const struct message_limits limits = {.payload_max = INT64_MAX};
    struct message_rejection rejection;
    struct job *job = NULL;

    (void)state;
    assert_int_equal(message_parse("q", ENTRY_ID, fields, 2, NOW_MS, &limits, &job, &rejection), -ENOMEM);
    assert_null(job);
}

static void job_free_takes_null(void **state)
{
    (void)state;
    assert_null(job_free(NULL));
}

/* Sanitizers end a process whose malloc fails, unless told otherwise by this, which they must be able to see. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_becomes_a_job),
        cmocka_unit_test(type_alone_is_enough),
        cmocka_unit_test(instructions_are_read_and_are_not_metadata),
        cmocka_unit_test(root_of_a_job_with_an_id_is_itself),
        cmocka_unit_test(names_may_have_128_characters),
        cmocka_unit_test(values_may_hold_any_byte_and_be_empty),
        cmocka_unit_test(last_of_a_name_counts_in_the_place_of_the_first),
        cmocka_unit_test(names_that_only_resemble_instructions_are_metadata),
        cmocka_unit_test(fields_of_a_dead_letter_are_not_metadata),
        cmocka_unit_test(delay_counts_from_the_enqueueing),
        cmocka_unit_test(delay_of_a_job_put_back_is_not_waited_for_again),
        cmocka_unit_test(at_is_a_time_and_due_at_once_when_past),
        cmocka_unit_test(time_of_enqueueing_is_that_of_the_entry_where_it_has_one),
        cmocka_unit_test(invalid_traceparent_is_ignored_with_its_tracestate),
        cmocka_unit_test(tracestate_without_traceparent_is_dropped),
        cmocka_unit_test(bad_tracestate_is_dropped_and_the_trace_kept),
        cmocka_unit_test(job_without_memory_is_no_refusal),
        cmocka_unit_test(job_free_takes_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
