/*
 * What a command of weft is: a row of the table in commands.c, and a function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/cli/options.h"
#include "daemon/cli/session.h"
#include "daemon/config/config.h"

/* What a command is run with. */
struct invocation {
    const struct config *config;
    struct options options;
    struct session *session; /* with the queue that the options name, or all; NULL unless the command asks Redis */
};

/* Runs a command and gives the exit status; what goes wrong is reported on stderr. */
typedef int command_fn(const struct invocation *invocation);

/* A table of commands ends with one that has no name. */
struct command {
    const char *name;
    const char *synopsis;              /* the words that it takes, for the help */
    const char *summary;               /* a sentence without its full stop */
    const char *details;               /* paragraphs for the help; NULL: none */
    const struct option_row *rows;     /* NULL: only the common options */
    const struct command *subcommands; /* NULL: none; without one of them, the command itself is run */
    size_t words_min, words_max;
    bool takes_id;   /* its word is a job ID */
    bool asks_redis; /* it is run with a session */
    command_fn *run; /* NULL: not in this version */
};

command_fn cancel_run;
command_fn dead_delete_run;
command_fn dead_list_run;
command_fn dead_retry_run;
command_fn dead_show_run;
command_fn enqueue_run;
command_fn logs_run;
command_fn ps_run;
command_fn queues_run;
command_fn status_run;
