/*
 * Command lines: one table for each command says which options it takes, and both the parser and the help are made from
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"

/* What a command line said; everything points into it. */
struct options {
    const char *config; /* NULL: the default */
    bool json;
    bool help;
    bool version;
    const char *queue;   /* NULL: not said */
    const char *payload; /* NULL: not said */
    const char *delay;   /* NULL: not said */
    bool follow;
    const char *lines; /* as the three below, NULL: not said */
    const char *since;
    const char *level;
    const char *type;
    bool all;
    char **words; /* what is no option, in order */
    size_t word_count;
};

/* A table of options ends with one that has no name. */
struct option_row {
    char letter; /* 0: none */
    const char *name;
    const char *argument; /* what the help calls it; NULL: takes none */
    const char *doc;
    size_t offset; /* in struct options: of a `const char *` where it takes an argument, else of a `bool` */
};

#define OPTION_ROWS_MAX 16

/* What every command takes. */
extern const struct option_row options_common[];

/* Reads argv[1] and what follows; argv[0] is what mistakes are reported for. `rows` are taken beside the common ones;
 * NULL: only those. `stop` ends the reading at the first word, and then all that follows is words. What is not said
 * stays as it is in `options`. Reorders `argv`. Errors: -EINVAL, which has been reported on stderr. */
int options_parse(struct options *options, const struct option_row *rows, bool stop, int argc, char **argv) MUST_CHECK;
