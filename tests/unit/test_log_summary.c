/* What the journal's MESSAGE says: what happened, to which job, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/log/log_summary.h"
#include "tests/unit/log_support.h"

static void expect(const struct log_record *record, const char *sentence)
{
    char summary[LOG_SUMMARY_MAX];
    size_t size = log_summarize(record, summary);

    assert_int_equal(size, strlen(sentence));
    assert_memory_equal(summary, sentence, size);
}

static void a_dead_job_is_named_with_its_attempts_and_its_error(void **state)
{
    (void)state;
    expect(&(struct log_record){MESSAGE("job dead"),
                                LABELS(VALUE("job_id", "1763922000123-0"), VALUE("type", "thumbnail"),
                                       VALUE("queue", "default"), VALUE_INTEGER("attempt", "3")),
                                FIELDS(WEFT_TEXT("error", "cannot open file (ENOENT)"))},
           "job dead: thumbnail 1763922000123-0 after 3 attempts: cannot open file (ENOENT)");
    expect(&(struct log_record){MESSAGE("job dead"),
                                LABELS(VALUE("job_id", "a"), VALUE("type", "t"), VALUE_INTEGER("attempt", "1")),
                                FIELDS(WEFT_TEXT("error", "no"))},
           "job dead: t a after 1 attempt: no");
    /* A message that was refused has had none, and may not even have a type. */
    expect(&(struct log_record){MESSAGE("job dead"), LABELS(VALUE("job_id", "a")),
                                FIELDS(WEFT_TEXT("error", "\"type\" is missing"))},
           "job dead: a: \"type\" is missing");
}

static void other_lines_of_a_job_s_way_name_it_too(void **state)
{
    (void)state;
    expect(&(struct log_record){MESSAGE("job failed"),
                                LABELS(VALUE("job_id", "a"), VALUE("type", "t"), VALUE_INTEGER("attempt", "2")),
                                FIELDS(WEFT_TEXT("error", "no"))},
           "job failed: t a: no");
    expect(&(struct log_record){MESSAGE("worker crashed"), LABELS(VALUE("job_id", "a"), VALUE("type", "t")),
                                FIELDS(WEFT_TEXT("error", "SIGSEGV at 0x0"), WEFT_INT("worker_pid", 7))},
           "worker crashed: t a: SIGSEGV at 0x0");
}

static void lines_about_no_job_say_their_reason(void **state)
{
    (void)state;
    expect(&(struct log_record){MESSAGE("the new configuration is refused and the old one stays"),
                                FIELDS(WEFT_TEXT("error", "f:1:2: there is no key \"quues\""))},
           "the new configuration is refused and the old one stays: f:1:2: there is no key \"quues\"");
    expect(&(struct log_record){MESSAGE("worker ended"), FIELDS(WEFT_INT("worker", 1), WEFT_TEXT("error", "exit(3)"))},
           "worker ended: exit(3)");
}

static void a_line_that_says_all_stays_as_it_is(void **state)
{
    (void)state;
    expect(&(struct log_record){MESSAGE("weftd ready"), FIELDS(WEFT_INT("workers", 2))}, "");
    expect(&(struct log_record){MESSAGE("Hello, Ada!"), LABELS(VALUE("job_id", "a"), VALUE("type", "t"))}, "");
    expect(&(struct log_record){MESSAGE("job done"), LABELS(VALUE("job_id", "a"), VALUE("type", "t"))}, "");
    expect(&(struct log_record){MESSAGE("x"), FIELDS(WEFT_INT("error", 5))}, "");
    expect(&(struct log_record){MESSAGE("x"), FIELDS(WEFT_TEXT("error", NULL))}, "");
}

static void a_long_error_is_cut_at_a_character(void **state)
{
    char summary[LOG_SUMMARY_MAX];
    char *error = filled(40000, 'x');

    (void)state;
    for (size_t i = 0; i + 2 < 40000; i += 2)
        memcpy(error + i, "\xc3\xa4", 2);
    size_t size = log_summarize(&(struct log_record){MESSAGE("ab"), FIELDS(WEFT_TEXT("error", error))}, summary);
    assert_true(size <= LOG_SUMMARY_MAX && size > LOG_SUMMARY_MAX - 4);
    assert_int_equal((unsigned char)summary[size - 1], 0xa4);
    free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_job_is_named_with_its_attempts_and_its_error),
        cmocka_unit_test(other_lines_of_a_job_s_way_name_it_too),
        cmocka_unit_test(lines_about_no_job_say_their_reason),
        cmocka_unit_test(a_line_that_says_all_stays_as_it_is),
        cmocka_unit_test(a_long_error_is_cut_at_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
