#include "daemon/cli/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>

/* What getopt_long() gives for long options: the number of the row, behind all letters. */
#define FIRST_ROW 256

#define OFFSET(field_) .offset = offsetof(struct options, field_)

const struct option_row options_common[] = {
    {'c', "config", "FILE", "the configuration; default /etc/weft/weftd.yaml", OFFSET(config)},
    {0, "json", NULL, "print JSON instead of text", OFFSET(json)},
    {'h', "help", NULL, "print this, and end", OFFSET(help)},
    {0},
};

/* The rows of a command in the two shapes that getopt_long() wants. */
struct grammar {
    const struct option_row *rows[OPTION_ROWS_MAX];
    size_t count;
    struct option long_options[OPTION_ROWS_MAX + 1];
    char letters[2 * OPTION_ROWS_MAX + 2];
    size_t letters_size;
};

static void add_row(struct grammar *grammar, const struct option_row *row)
{
    assert(grammar->count < OPTION_ROWS_MAX);
    grammar->long_options[grammar->count] = (struct option){
        .name = row->name,
        .has_arg = row->argument ? required_argument : no_argument,
        .val = FIRST_ROW + (int)grammar->count,
    };
    grammar->rows[grammar->count++] = row;
    if (!row->letter)
        return;
    grammar->letters[grammar->letters_size++] = row->letter;
    if (row->argument)
        grammar->letters[grammar->letters_size++] = ':';
}

static void add_rows(struct grammar *grammar, const struct option_row *rows)
{
    for (; rows && rows->name; rows++)
        add_row(grammar, rows);
}

/* NULL: getopt_long() has found a mistake, and said so. */
static const struct option_row *find_row(const struct grammar *grammar, int found)
{
    if (found >= FIRST_ROW)
        return grammar->rows[found - FIRST_ROW];
    for (size_t i = 0; i < grammar->count; i++) {
        if (grammar->rows[i]->letter == found)
            return grammar->rows[i];
    }
    return NULL;
}

int options_parse(struct options *options, const struct option_row *rows, bool stop, int argc, char **argv)
{
    struct grammar grammar = {0};
    int found;

    assert(argc > 0);
    if (stop)
        grammar.letters[grammar.letters_size++] = '+';
    add_rows(&grammar, rows);
    add_rows(&grammar, options_common);
    optind = 0; /* begins anew, which 1 does not */
    while ((found = getopt_long(argc, argv, grammar.letters, grammar.long_options, NULL)) != -1) {
        const struct option_row *row = find_row(&grammar, found);

        if (!row)
            return -EINVAL;
        char *field = (char *)options + row->offset;

        if (row->argument)
            *(const char **)field = optarg;
        else
            *(bool *)field = true;
    }
    options->words = argv + optind;
    options->word_count = (size_t)(argc - optind);
    return 0;
}
