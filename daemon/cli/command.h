/*
 * What a command of weft is: a row of a table, and a function in a file of its own.
 */
#pragma once

#include <stddef.h>

#include "daemon/cli/options.h"
#include "daemon/config/config.h"

/* What a command is run with. */
struct invocation {
    const struct config *config;
    struct options options;
};

/* A table of commands ends with one that has no name. */
struct command {
    const char *name;
    const char *synopsis;              /* the words that it takes, for the help */
    const char *summary;               /* a sentence without its full stop */
    const char *details;               /* paragraphs for the help; NULL: none */
    const struct option_row *rows;     /* NULL: only the common options */
    const struct command *subcommands; /* NULL: none; without one of them, the command itself is run */
    size_t words_min;
    size_t words_max;

    /* Runs it and gives the exit status; what goes wrong is reported on stderr. NULL: not in this version. */
    int (*run)(const struct invocation *invocation);
};

extern const struct command command_enqueue;
extern const struct command command_logs;
extern const struct command command_status;
extern const struct command command_queues;
extern const struct command command_dead;
extern const struct command command_cancel;
extern const struct command command_ps;
