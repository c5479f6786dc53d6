/* weft dead: the table of its subcommands. */
#include "daemon/cli/dead_delete.h"
#include "daemon/cli/dead_list.h"
#include "daemon/cli/dead_retry.h"
#include "daemon/cli/dead_show.h"

static const struct option_row rows[] = {
    {'q', "queue", "QUEUE", "only this queue; else all of them", offsetof(struct options, queue)},
    {0},
};

static const struct option_row retry_rows[] = {
    {'q', "queue", "QUEUE", "only this queue; else all of them", offsetof(struct options, queue)},
    {0, "all", NULL, "all dead letters that there are now", offsetof(struct options, all)},
    {0},
};

static const struct command subcommands[] = {
    {
        .name = "list",
        .synopsis = "",
        .summary = "List the dead letters, the oldest first",
        .details = "With --json, each is an object on a line of its own.\n",
        .rows = rows,
        .run = dead_list,
    },
    {
        .name = "show",
        .synopsis = "ID",
        .summary = "Show all fields of a dead letter",
        .details = "Of several with the same job ID the newest is shown. With --json, a value that is not UTF-8 is\n"
                   "{\"base64\": \"...\"}.\n",
        .rows = rows,
        .words_min = 1,
        .words_max = 1,
        .run = dead_show,
    },
    {
        .name = "retry",
        .synopsis = "ID|--all",
        .summary = "Run a job that died once more, or all of them",
        .details = "The job keeps its ID, its message and its trace, and has all its attempts before it. Of several\n"
                   "letters with the same job ID the newest is retried.\n",
        .rows = retry_rows,
        .words_max = 1,
        .run = dead_retry,
    },
    {
        .name = "delete",
        .synopsis = "ID",
        .summary = "Delete a dead letter, and the report of its job",
        .details = "Of several with the same job ID the newest is deleted.\n",
        .rows = rows,
        .words_min = 1,
        .words_max = 1,
        .run = dead_delete,
    },
    {0},
};

const struct command command_dead = {
    .name = "dead",
    .synopsis = "[list | show ID | retry ID|--all | delete ID]",
    .summary = "Show, retry or delete dead letters: jobs that were set aside, with the reason",
    .rows = rows,
    .subcommands = subcommands,
    .run = dead_list,
};
