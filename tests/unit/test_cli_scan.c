/* Reading a log file that is larger than the buffer, and one that is still being written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "context/log/log.h"
#include "daemon/cli/log_scan.h"

#define HEAD "{\"ts\":\"2026-11-23T20:00:00.000000Z\",\"level\":\"info\","

struct fixture {
    FILE *file;
    struct log_scan scan;
    char found[4096]; /* the messages, one a line */
};

static const struct log_filter filter = {.id = "A"};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->file = tmpfile();
    assert_non_null(fixture->file);
    assert_int_equal(log_scan_init(&fixture->scan, fileno(fixture->file), &filter), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    log_scan_done(&fixture->scan);
    (void)fclose(fixture->file);
    free(fixture);
    return 0;
}

static void write_text(struct fixture *fixture, const char *text)
{
    assert_true(fputs(text, fixture->file) >= 0);
    assert_int_equal(fflush(fixture->file), 0);
}

static void write_line(struct fixture *fixture, const char *job, const char *message)
{
    fprintf(fixture->file, HEAD "\"job_id\":\"%s\",\"msg\":\"%s\"}\n", job, message);
    assert_int_equal(fflush(fixture->file), 0);
}

static void write_filler(struct fixture *fixture, size_t size)
{
    for (size_t i = 0; i < size; i++)
        (void)fputc('A', fixture->file);
}

/* Notes the message, and reads the line again where it is said to stand. */
static int note(const struct log_found *found, void *user)
{
    struct fixture *fixture = user;
    size_t head = strlen(HEAD "\"job_id\":\"A\",\"msg\":\"");
    char again[256];
    size_t used = strlen(fixture->found);

    assert_true(found->size < sizeof(again));
    assert_int_equal(pread(fileno(fixture->file), again, found->size, found->offset), found->size);
    assert_memory_equal(again, found->line, found->size);
    snprintf(fixture->found + used, sizeof(fixture->found) - used, "%.*s\n", (int)(found->size - head - strlen("\"}")),
             found->line + head);
    return 0;
}

static void assert_found(struct fixture *fixture, const char *messages)
{
    fixture->found[0] = '\0';
    assert_int_equal(log_scan_read(&fixture->scan, note, fixture), 0);
    assert_string_equal(fixture->found, messages);
}

static void the_lines_of_one_job_are_found_among_others(void **state)
{
    write_line(*state, "B", "of A another");
    write_line(*state, "A", "one");
    write_line(*state, "A", "two A A");
    write_text(*state, "\n\nA\n");
    write_line(*state, "AA", "of a third");
    write_line(*state, "A", "three");
    assert_found(*state, "one\ntwo A A\nthree\n");
    assert_found(*state, "");
}

static void a_line_is_found_once_it_is_complete(void **state)
{
    write_line(*state, "A", "one");
    write_text(*state, HEAD "\"job_id\":\"A\",\"msg\":\"tw");
    assert_found(*state, "one\n");
    assert_found(*state, "");
    write_text(*state, "o\"}\n{\"ts\":");
    assert_found(*state, "two\n");
}

static void lines_across_the_ends_of_pieces_are_found(void **state)
{
    /* Pieces are no multiple of the line's size, so that their ends fall everywhere in it. */
    char expected[sizeof(((struct fixture *)NULL)->found)] = "";

    for (int i = 0; i < 20; i++) {
        char message[16];

        snprintf(message, sizeof(message), "%d", i);
        for (size_t size = 0; size < LOG_LINE_MAX / 2; size += 4099) {
            write_filler(*state, 4098);
            write_text(*state, "\n");
        }
        write_line(*state, "A", message);
        strcat(strcat(expected, message), "\n");
    }
    assert_found(*state, expected);
}

static void a_line_that_is_longer_than_any_of_wefts_is_passed_over(void **state)
{
    write_line(*state, "A", "before");
    write_text(*state, HEAD "\"job_id\":\"A\",\"msg\":\"");
    write_filler(*state, 5 * (size_t)LOG_LINE_MAX + 17);
    write_text(*state, "\"}\n");
    write_line(*state, "A", "behind");
    assert_found(*state, "before\nbehind\n");
}

static void a_rewound_file_is_read_again(void **state)
{
    struct fixture *fixture = *state;

    write_line(fixture, "A", "one");
    write_text(fixture, "half a line");
    assert_found(fixture, "one\n");
    log_scan_rewind(&fixture->scan, fileno(fixture->file));
    assert_found(fixture, "one\n");
}

static int refuse(const struct log_found *found, void *user)
{
    (void)found;
    (void)user;
    return -ENOMEM;
}

static void an_error_of_the_visitor_ends_the_reading(void **state)
{
    struct fixture *fixture = *state;

    write_line(fixture, "A", "one");
    assert_int_equal(log_scan_read(&fixture->scan, refuse, NULL), -ENOMEM);
}

static void a_file_that_cannot_be_read_gives_its_error(void **state)
{
    struct fixture *fixture = *state;

    log_scan_rewind(&fixture->scan, -1);
    assert_int_equal(log_scan_read(&fixture->scan, note, fixture), -EBADF);
}

#define TEST(name_) cmocka_unit_test_setup_teardown((name_), set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_lines_of_one_job_are_found_among_others),
        TEST(a_line_is_found_once_it_is_complete),
        TEST(lines_across_the_ends_of_pieces_are_found),
        TEST(a_line_that_is_longer_than_any_of_wefts_is_passed_over),
        TEST(a_rewound_file_is_read_again),
        TEST(an_error_of_the_visitor_ends_the_reading),
        TEST(a_file_that_cannot_be_read_gives_its_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
