/* Command lines of weft: what options mean, wherever they stand, and which commands there are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/cli/commands.h"

#define WORDS_MAX 16

/* A command line in memory that may be reordered. */
struct line {
    char *words[WORDS_MAX];
    int count;
};

static struct line make_line(const char *const *words)
{
    struct line line = {0};

    while (words[line.count]) {
        line.words[line.count] = (char *)(uintptr_t)words[line.count];
        line.count++;
    }
    return line;
}

#define LINE(...) make_line((const char *const[]){__VA_ARGS__, NULL})

static void assert_words(const struct options *options, const char *const *expected)
{
    size_t count = 0;

    for (; expected[count]; count++) {
        assert_true(count < options->word_count);
        assert_string_equal(options->words[count], expected[count]);
    }
    assert_int_equal(options->word_count, count);
}

#define ASSERT_WORDS(options_, ...) assert_words((options_), (const char *const[]){__VA_ARGS__, NULL})

static void options_may_stand_between_and_behind_the_words(void **state)
{
    (void)state;
    struct line line = LINE("weft enqueue", "speak", "-q", "bulk", "tenant=acme", "--payload=hello", "--json", "n=-1");
    struct options options = {0};

    assert_int_equal(options_parse(&options, command_find(commands, "enqueue")->rows, false, line.count, line.words),
                     0);
    assert_string_equal(options.queue, "bulk");
    assert_string_equal(options.payload, "hello");
    assert_true(options.json);
    assert_false(options.help);
    assert_null(options.delay);
    ASSERT_WORDS(&options, "speak", "tenant=acme", "n=-1");
}

static void a_lone_dash_is_an_argument_like_any_other(void **state)
{
    (void)state;
    struct line line = LINE("weft enqueue", "speak", "-p", "-");
    struct options options = {0};

    assert_int_equal(options_parse(&options, command_find(commands, "enqueue")->rows, false, line.count, line.words),
                     0);
    assert_string_equal(options.payload, "-");
    ASSERT_WORDS(&options, "speak");
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct line line = LINE("weft enqueue", "--", "speak", "--json");
    struct options options = {0};

    assert_int_equal(options_parse(&options, command_find(commands, "enqueue")->rows, false, line.count, line.words),
                     0);
    assert_false(options.json);
    ASSERT_WORDS(&options, "speak", "--json");
}

static void options_of_weft_end_at_the_command(void **state)
{
    (void)state;
    struct line line = LINE("weft", "-c", "weftd.yaml", "logs", "-f", "ID");
    struct options options = {0};

    assert_int_equal(options_parse(&options, options_global, true, line.count, line.words), 0);
    assert_string_equal(options.config, "weftd.yaml");
    assert_false(options.follow);
    ASSERT_WORDS(&options, "logs", "-f", "ID");
}

static void what_was_said_before_the_command_stays_said(void **state)
{
    (void)state;
    struct line before = LINE("weft", "--json", "-c", "one.yaml", "logs");
    struct line behind = LINE("weft logs", "-f", "ID", "-c", "two.yaml");
    struct options options = {0};

    assert_int_equal(options_parse(&options, options_global, true, before.count, before.words), 0);
    assert_int_equal(options_parse(&options, command_find(commands, "logs")->rows, false, behind.count, behind.words),
                     0);
    assert_true(options.json);
    assert_true(options.follow);
    assert_string_equal(options.config, "two.yaml");
    ASSERT_WORDS(&options, "ID");
}

/* getopt_long() says what is wrong. */
static void assert_refused(const struct option_row *rows, struct line line, const char *sentence)
{
    struct options options = {0};
    char said[256] = "";
    int stderr_before = dup(STDERR_FILENO);
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    int r = options_parse(&options, rows, false, line.count, line.words);
    (void)fflush(stderr);
    assert_true(dup2(stderr_before, STDERR_FILENO) >= 0);
    (void)close(stderr_before);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    (void)fclose(file);
    assert_int_equal(r, -EINVAL);
    assert_string_equal(said, sentence);
}

static void mistakes_are_said_in_the_name_of_the_command(void **state)
{
    (void)state;
    assert_refused(command_find(commands, "logs")->rows, LINE("weft logs", "--queue", "x"),
                   "weft logs: unrecognized option '--queue'\n");
    assert_refused(command_find(commands, "logs")->rows, LINE("weft logs", "-q"), "weft logs: invalid option -- 'q'\n");
    assert_refused(command_find(commands, "enqueue")->rows, LINE("weft enqueue", "-q"),
                   "weft enqueue: option requires an argument -- 'q'\n");
    assert_refused(NULL, LINE("weft status", "--json=yes"), "weft status: option '--json' doesn't allow an argument\n");
}

static void every_command_of_the_contract_has_a_row(void **state)
{
    static const char *const names[] = {"enqueue", "logs",   "status", "trace",  "ps",   "queues",
                                        "nodes",   "cancel", "pause",  "resume", "dead", "top"};
    static const char *const subcommands[] = {"list", "show", "retry", "delete"};

    (void)state;
    size_t count = 0;
    while (commands[count].name)
        count++;
    assert_int_equal(count, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct command *command = command_find(commands, names[i]);

        assert_non_null(command);
        assert_non_null(command->synopsis);
        assert_true(command->words_min <= command->words_max);
    }
    const struct command *of_dead = command_find(commands, "dead")->subcommands;
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
        assert_non_null(command_find(of_dead, subcommands[i]));
    assert_null(command_find(commands, "nonsense"));
    assert_null(command_find(of_dead, "nonsense"));
    assert_null(command_find(command_find(commands, "logs")->subcommands, "list"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_between_and_behind_the_words),
        cmocka_unit_test(a_lone_dash_is_an_argument_like_any_other),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(options_of_weft_end_at_the_command),
        cmocka_unit_test(what_was_said_before_the_command_stays_said),
        cmocka_unit_test(mistakes_are_said_in_the_name_of_the_command),
        cmocka_unit_test(every_command_of_the_contract_has_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
