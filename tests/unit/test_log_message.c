/* The logger's messages, and its manners: errno, lines from within, the time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include <cmocka.h>

#include <weft/log.h>

#include "context/log/log.h"
#include "tests/unit/log_sink.h"

/* ---- Messages ---- */

struct message {
    char text[16384];
    size_t size;
};

static void keep_message(const struct log_record *record, void *user)
{
    struct message *message = user;

    assert_true(record->message_size < sizeof(message->text));
    message->size = record->message_size;
    memcpy(message->text, record->message, record->message_size);
    message->text[record->message_size] = '\0';
}

static void a_message_is_cut_at_8_kib_and_says_so(void **state)
{
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 8191, 8192, 8193, 9000, 100000};
    struct message message;

    (void)state;
    CONFIGURE(.sink = keep_message, .user = &message);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *text = filled(sizes[i], 'x');

        for (int with_fields = 0; with_fields < 2; with_fields++) {
            if (with_fields)
                weft_log_fields(WEFT_INFO, text, NULL, 0);
            else
                weft_info("%s", text);
            if (sizes[i] <= 8192) {
                assert_string_equal(message.text, text);
            } else {
                assert_int_equal(message.size, 8192);
                assert_memory_equal(message.text, text, 8192 - 9);
                assert_string_equal(message.text + 8192 - 9, "... [cut]");
            }
        }
        free(text);
    }
}

static void a_message_is_cut_between_characters(void **state)
{
    struct message message;
    char *text = filled(9000, 'x');

    (void)state;
    CONFIGURE(.sink = keep_message, .user = &message);
    memcpy(text + 8192 - 9 - 2, "\xF0\x9F\x98\x80", 4);
    weft_info("%s", text);
    assert_string_equal(message.text + 8192 - 9 - 3, "x... [cut]");
    free(text);
}

static void a_message_with_fields_is_not_a_format(void **state)
{
    (void)state;
    CONFIGURE();
    weft_log_with(WEFT_INFO, "100%s %n", WEFT_TEXT("order", "A\nB"), WEFT_INT("lines", 3), WEFT_REAL("ratio", 0.5));
    assert_string_equal(kept.text,
                        HEAD "\"100%s %n\",\"pid\":42,\"data\":{\"order\":\"A\\nB\",\"lines\":3,\"ratio\":0.5}}\n");
}

static void a_message_that_is_missing_is_empty(void **state)
{
    (void)state;
    CONFIGURE();
    weft_log_fields(WEFT_INFO, NULL, NULL, 0);
    assert_string_equal(kept.text, HEAD "\"\",\"pid\":42}\n");
}

static void a_message_that_cannot_be_formatted_shows_its_format(void **state)
{
    static const wchar_t no_character[] = {0x7fffffff, 0};

    (void)state;
    CONFIGURE();
    weft_info("name: %ls", no_character);
    assert_string_equal(kept.text, HEAD "\"name: %ls\",\"pid\":42}\n");
}

/* ---- Manners ---- */

static void spoil_errno(const struct log_record *record, void *user)
{
    keep_line(record, user);
    errno = EPIPE;
}

static void errno_is_kept_and_can_be_shown(void **state)
{
    char *text = filled(2000, 'x');

    (void)state;
    CONFIGURE(.level = WEFT_INFO, .sink = spoil_errno);
    errno = ENOENT;
    weft_info("%m");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(kept.text, HEAD "\"No such file or directory\",\"pid\":42}\n");

    kept.size = 0;
    weft_info("%s%m", text);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(kept.text, "xxNo such file or directory\",\"pid\":42}\n"));

    weft_log_fields(WEFT_INFO, "m", NULL, 0);
    assert_int_equal(errno, ENOENT);
    weft_debug("dropped");
    assert_int_equal(errno, ENOENT);
    free(text);
}

static void log_from_within(const struct log_record *record, void *user)
{
    weft_info("a line about a line");
    weft_log_fields(WEFT_ERROR, "another", NULL, 0);
    keep_line(record, user);
}

static void what_a_sink_logs_is_dropped(void **state)
{
    (void)state;
    CONFIGURE(.sink = log_from_within);
    weft_info("one");
    weft_log_fields(WEFT_INFO, "two", NULL, 0);
    assert_string_equal(kept.text, HEAD "\"one\",\"pid\":42}\n" HEAD "\"two\",\"pid\":42}\n");
}

static void lines_have_the_time_and_the_process(void **state)
{
    struct timespec before;

    (void)state;
    CONFIGURE();
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &before), 0);
    weft_info("m");
    assert_true(kept.last_time_us >= before.tv_sec * 1000000 + before.tv_nsec / 1000);
    assert_int_equal(kept.last_pid, getpid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_cut_at_8_kib_and_says_so),
        cmocka_unit_test(a_message_is_cut_between_characters),
        cmocka_unit_test(a_message_with_fields_is_not_a_format),
        cmocka_unit_test(a_message_that_is_missing_is_empty),
        cmocka_unit_test(a_message_that_cannot_be_formatted_shows_its_format),
        cmocka_unit_test(errno_is_kept_and_can_be_shown),
        cmocka_unit_test(what_a_sink_logs_is_dropped),
        cmocka_unit_test(lines_have_the_time_and_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
