/* The logger: where its lines go, which there are, and what they are about. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/context.h>
#include <weft/log.h>

#include "context/current.h"
#include "context/log/log.h"
#include "tests/unit/log_sink.h"

/* ---- stderr ---- */

static int stderr_before;

static void begin_stderr(void)
{
    char name[] = "/tmp/test_log.XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    stderr_before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(fd), 0);
}

static void end_stderr(char *ret_text, size_t size)
{
    ssize_t count = pread(STDERR_FILENO, ret_text, size - 1, 0);

    assert_int_equal(dup2(stderr_before, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(stderr_before), 0);
    assert_true(count >= 0);
    ret_text[count] = '\0';
}

static int log_two_lines(void *arg)
{
    (void)arg;
    weft_info("ready for %d job(s)\n", 3);
    weft_log_with(WEFT_ERROR, "m", WEFT_TEXT("why", "no\x1b[0m idea"));
    return 0;
}

/* The first test: nothing has been configured yet. */
static void without_a_configuration_text_goes_to_stderr(void **state)
{
    char text[512];

    (void)state;
    begin_stderr();
    weft_debug("too much detail");
    assert_int_equal(weft_run_with("user", "123", log_two_lines, NULL), 0);
    end_stderr(text, sizeof(text));

    assert_int_equal(text[0], '2');
    assert_int_equal(text[sizeof(TIME) - 2], 'Z');
    assert_memory_equal(text + sizeof(TIME) - 1, " INFO  - ready for 3 job(s)\\n\n", 29);
    const char *second = strchr(text, '\n') + 1;
    assert_string_equal(second + sizeof(TIME) - 1, " ERROR - m why=\"no\\x1b[0m idea\"\n");
}

static void no_sink_means_text_on_stderr(void **state)
{
    char text[512];
    const struct log_options options = {.level = WEFT_WARN};

    (void)state;
    log_configure(&options);
    begin_stderr();
    weft_info("not this");
    weft_warn("but this");
    end_stderr(text, sizeof(text));
    assert_string_equal(text + sizeof(TIME) - 1, " WARN  - but this\n");
}

/* ---- Levels ---- */

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    for (enum weft_level level = WEFT_DEBUG; level <= WEFT_ERROR; level++) {
        char expected[1024] = "";

        CONFIGURE(.level = level);
        for (enum weft_level of_line = WEFT_DEBUG; of_line <= WEFT_ERROR; of_line++) {
            weft_log(of_line, "a");
            weft_log_fields(of_line, "b", NULL, 0);
            if (of_line >= level)
                (void)snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected),
                               "{\"ts\":\"" TIME "\",\"level\":\"%s\",\"msg\":\"a\",\"pid\":42}\n"
                               "{\"ts\":\"" TIME "\",\"level\":\"%s\",\"msg\":\"b\",\"pid\":42}\n",
                               log_level_name(of_line), log_level_name(of_line));
        }
        assert_string_equal(kept.text, expected);
    }
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(log_level_name(WEFT_DEBUG), "debug");
    assert_string_equal(log_level_name(WEFT_INFO), "info");
    assert_string_equal(log_level_name(WEFT_WARN), "warn");
    assert_string_equal(log_level_name(WEFT_ERROR), "error");
    assert_string_equal(log_level_name((enum weft_level)17), "error");
}

/* ---- Labels ---- */

/* Names and values, set in a run of its own before a line is logged. */
struct setting {
    const char *name;
    const char *value;
};

static int set_and_log(void *arg)
{
    for (const struct setting *setting = arg; setting->name; setting++) {
        int r = strncmp(setting->name, "weft.", 5) == 0 ? current_set_own(setting->name, setting->value)
                                                        : weft_set(setting->name, setting->value);
        assert_int_equal(r, 0);
    }
    weft_info("m");
    return 0;
}

static void assert_line(const struct setting *settings, const char *expected)
{
    kept.size = 0;
    assert_int_equal(weft_run(set_and_log, (void *)settings), 0);
    assert_string_equal(kept.text, expected);
}

#define SETTINGS(...) ((const struct setting[]){__VA_ARGS__, {NULL, NULL}})

static void at_the_root_a_line_is_about_no_job(void **state)
{
    (void)state;
    CONFIGURE(.node = "web1");
    weft_info("ready");
    assert_string_equal(kept.text, HEAD "\"ready\",\"node\":\"web1\",\"pid\":42}\n");
}

static void labels_come_from_the_context_in_their_order(void **state)
{
    (void)state;
    CONFIGURE();
    assert_line(SETTINGS({"weft.task", "audit"}, {"weft.attempt", "2"}, {"weft.job_id", "req-A"}),
                HEAD "\"m\",\"job_id\":\"req-A\",\"attempt\":2,\"task\":\"audit\",\"pid\":42}\n");
    assert_line(SETTINGS({"weft.attempt", "two"}), HEAD "\"m\",\"attempt\":\"two\",\"pid\":42}\n");
    assert_line(SETTINGS({"weft.job_id", "a\n\xFF\"b"}),
                HEAD "\"m\",\"job_id\":\"a\\n\xEF\xBF\xBD\\\"b\",\"pid\":42}\n");
    assert_line(SETTINGS({"weft.job_id", ""}), HEAD "\"m\",\"job_id\":\"\",\"pid\":42}\n");
}

static void a_label_that_only_repeats_another_is_left_out(void **state)
{
    (void)state;
    CONFIGURE();
    assert_line(SETTINGS({"weft.job_id", "a"}, {"weft.root_id", "a"}), HEAD "\"m\",\"job_id\":\"a\",\"pid\":42}\n");
    assert_line(SETTINGS({"weft.job_id", "a"}, {"weft.root_id", "ab"}),
                HEAD "\"m\",\"job_id\":\"a\",\"root_id\":\"ab\",\"pid\":42}\n");
    assert_line(SETTINGS({"weft.root_id", "a"}), HEAD "\"m\",\"root_id\":\"a\",\"pid\":42}\n");
}

static void keep_whether_there_is_a_first_label(const struct log_record *record, void *user)
{
    *(int *)user = record->has_first_label;
}

static void the_first_label_is_told_from_the_others(void **state)
{
    int has_first_label = -1;

    (void)state;
    CONFIGURE(.sink = keep_whether_there_is_a_first_label, .user = &has_first_label);
    weft_info("m");
    assert_int_equal(has_first_label, 0);
    assert_int_equal(weft_run(set_and_log, (void *)SETTINGS({"weft.task", "audit"})), 0);
    assert_int_equal(has_first_label, 0);
    assert_int_equal(weft_run(set_and_log, (void *)SETTINGS({"weft.job_id", "a"})), 0);
    assert_int_equal(has_first_label, 1);
}

/* ---- Fields of the context ---- */

static void only_the_fields_that_were_asked_for_are_shown(void **state)
{
    static const char *const fields[] = {"tenant", "weft.queue", "absent", "tenant"};

    (void)state;
    CONFIGURE(.fields = fields, .field_count = 4);
    assert_line(SETTINGS({"user", "u"}, {"tenant", "ac\nme"}, {"weft.queue", "q"}),
                HEAD "\"m\",\"pid\":42,\"ctx\":{\"tenant\":\"ac\\nme\",\"weft.queue\":\"q\"}}\n");
    assert_line(SETTINGS({"user", "u"}), HEAD "\"m\",\"pid\":42}\n");
}

static int log_with_strange_values(void *arg)
{
    assert_int_equal(weft_set_bytes("bytes", "a\0b", 3), 0);
    assert_int_equal(weft_set_pointer("pointer", arg, NULL), 0);
    assert_int_equal(weft_set("hidden", "h"), 0);
    assert_int_equal(weft_unset("hidden"), 0);
    assert_int_equal(current_set_own("weft.queue", "q"), 0);
    weft_info("m");
    return 0;
}

static void a_star_shows_everything_but_what_is_wefts_own(void **state)
{
    static const char *const star[] = {"*"};
    static const char *const star_and_more[] = {"bytes", "*", "weft.queue"};

    (void)state;
    CONFIGURE(.fields = star, .field_count = 1);
    assert_int_equal(weft_run(log_with_strange_values, state), 0);
    assert_string_equal(kept.text, HEAD "\"m\",\"pid\":42,\"ctx\":{\"bytes\":\"a\\u0000b\"}}\n");

    CONFIGURE(.fields = star_and_more, .field_count = 3);
    assert_int_equal(weft_run(log_with_strange_values, state), 0);
    assert_string_equal(kept.text, HEAD "\"m\",\"pid\":42,\"ctx\":{\"bytes\":\"a\\u0000b\",\"weft.queue\":\"q\"}}\n");
}

static void count_context_values(const struct log_record *record, void *user)
{
    *(size_t *)user = record->context_count;
}

static int log_with_as_many_values_as_there_can_be(void *arg)
{
    char name[16];
    int r = 0;

    (void)arg;
    for (int i = 0; r == 0; i++) {
        (void)snprintf(name, sizeof(name), "name-%d", i);
        r = weft_set(name, "value");
    }
    assert_int_equal(r, -E2BIG);
    weft_info("m");
    return 0;
}

static void a_full_context_is_shown_whole(void **state)
{
    static const char *const star[] = {"*"};
    size_t count = 0;

    (void)state;
    CONFIGURE(.sink = count_context_values, .user = &count, .fields = star, .field_count = 1);
    assert_int_equal(weft_run(log_with_as_many_values_as_there_can_be, NULL), 0);
    assert_int_equal(count, LOG_CONTEXT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_configuration_text_goes_to_stderr),
        cmocka_unit_test(no_sink_means_text_on_stderr),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(at_the_root_a_line_is_about_no_job),
        cmocka_unit_test(labels_come_from_the_context_in_their_order),
        cmocka_unit_test(a_label_that_only_repeats_another_is_left_out),
        cmocka_unit_test(the_first_label_is_told_from_the_others),
        cmocka_unit_test(only_the_fields_that_were_asked_for_are_shown),
        cmocka_unit_test(a_star_shows_everything_but_what_is_wefts_own),
        cmocka_unit_test(a_full_context_is_shown_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
