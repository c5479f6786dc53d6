#include "daemon/cli/commands.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "context/macros.h"

#define HELP_COLUMN 28

const struct option_row options_global[] = {
    {0, "version", NULL, "print the version, and end", offsetof(struct options, version)},
    {0},
};

#define ROW_QUEUE                                                                                                      \
    {                                                                                                                  \
        'q', "queue", "QUEUE", "only this queue; else all of them", offsetof(struct options, queue)                    \
    }

static const struct option_row queue_rows[] = {ROW_QUEUE, {0}};

static const struct option_row retry_rows[] = {
    ROW_QUEUE,
    {0, "all", NULL, "all dead letters that there are now", offsetof(struct options, all)},
    {0},
};

static const struct option_row enqueue_rows[] = {
    {'q', "queue", "QUEUE", "the queue; else `default`, or the only one", offsetof(struct options, queue)},
    {'p', "payload", "PAYLOAD", "the payload; - reads it from stdin", offsetof(struct options, payload)},
    {0, "delay", "DURATION", "run it no sooner than after this, such as 30s", offsetof(struct options, delay)},
    {0},
};

static const struct option_row logs_rows[] = {
    {'f', "follow", NULL, "go on with new lines until interrupted", offsetof(struct options, follow)},
    {'n', "lines", "NUMBER", "only so many lines, the last", offsetof(struct options, lines)},
    {0, "since", "TIME", "only from then on: 2026-11-23T20:00:00Z, or 2h for how long ago",
     offsetof(struct options, since)},
    {0, "level", "LEVEL", "only of this level and above: debug, info, warn, error", offsetof(struct options, level)},
    {0, "type", "TYPE", "only of jobs of this type", offsetof(struct options, type)},
    {0},
};

#define ONE_ID .words_min = 1, .words_max = 1, .takes_id = true

static const struct command dead_commands[] = {
    {"list", "", "List the dead letters, the oldest first", "With --json, each is an object on a line of its own.\n",
     queue_rows, .asks_redis = true, .run = dead_list_run},
    {"show", "ID", "Show all fields of a dead letter",
     "Of several with the same job ID the newest is shown. With --json, a value that is not UTF-8 is\n"
     "{\"base64\": \"...\"}.\n",
     queue_rows, ONE_ID, .asks_redis = true, .run = dead_show_run},
    {"retry", "ID|--all", "Run a job that died once more, or all of them",
     "The job keeps its ID, its message and its trace, and has all its attempts before it. Of several\n"
     "letters with the same job ID the newest is retried.\n",
     retry_rows, .words_max = 1, .run = dead_retry_run},
    {"delete", "ID", "Delete a dead letter, and the report of its job",
     "Of several with the same job ID the newest is deleted.\n", queue_rows, ONE_ID, .asks_redis = true,
     .run = dead_delete_run},
    {0},
};

const struct command commands[] = {
    {"enqueue", "TYPE [NAME=VALUE...]", "Enqueue a job and print its ID",
     "A NAME is an instruction (id, delay, at, attempts, timeout, unique, unique_for, parent, root,\n"
     "traceparent, tracestate) or else metadata, which is in the job's context. What weftd would refuse is\n"
     "refused here and not sent.\n",
     enqueue_rows, .words_min = 1, .words_max = SIZE_MAX, .run = enqueue_run},
    {"logs", "[ID]", "Show the log of a job, with its subtasks and child jobs, or all of it, in time order",
     "Reads the first file that can be read among the outputs of the configuration's log: section, and\n"
     "those that it was before its rotations; without one, the journal. With --json, the lines are shown as\n"
     "they are in the file, or would be.\n",
     logs_rows, .words_max = 1, .takes_id = true, .run = logs_run},
    {"status", "ID", "Show the state of a job and its report",
     "A job that has no report yet is `queued`, or `running` where a worker has it.\n", ONE_ID, .asks_redis = true,
     .run = status_run},
    {"ps", "[ID]", "Show the jobs in flight on all nodes, and what each awaits",
     "A job that has ended, and has started what goes on, is `outlived`. Of a worker that does not answer,\n"
     "being stuck in a handler, or is gone, the jobs are shown that Redis knows it to hold. With ID, also\n"
     "what led to each wait is shown.\n",
     queue_rows, .words_max = 1, .takes_id = true, .asks_redis = true, .run = ps_run},
    {"cancel", "ID", "Cancel a job that waits or runs",
     "A job that waits is taken off. The worker of a job that runs is asked to stop it, for which a few\n"
     "seconds are waited. What was cancelled has a report that says so.\n",
     queue_rows, ONE_ID, .asks_redis = true, .run = cancel_run},
    {"queues", "", "Show how many jobs are ready, in flight, delayed and dead in each queue",
     "Streams under the prefix that no node reads are shown as well, with what was probably meant. With\n"
     "--json, each queue is an object on a line of its own.\n",
     .asks_redis = true, .run = queues_run},
    {"dead", "[list | show ID | retry ID|--all | delete ID]",
     "Show, retry or delete dead letters: jobs that were set aside, with the reason", NULL, queue_rows, dead_commands,
     .asks_redis = true, .run = dead_list_run},
    /* Not in this version. */
    {"trace", "ID", "Show the spans of one job as a tree", .run = NULL},
    {"nodes", "", "List the nodes", .run = NULL},
    {"pause", "QUEUE", "Stop taking jobs from a queue", .run = NULL},
    {"resume", "QUEUE", "Take jobs from a queue again", .run = NULL},
    {"top", "", "Watch the queues and the nodes", .run = NULL},
    {0},
};

const struct command *command_find(const struct command *table, const char *name)
{
    for (const struct command *command = table; command && command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

/* ---- Help ---- */

static void print_row(const char *left, const char *right)
{
    printf("  %-*s %s\n", HELP_COLUMN, left, right);
}

static void print_option(const struct option_row *row)
{
    char left[64];
    char letter[] = {'-', row->letter, ',', ' ', '\0'};

    snprintf(left, sizeof(left), "%s--%s%s%s", row->letter ? letter : "    ", row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    print_row(left, row->doc);
}

static void print_options(const struct option_row *rows)
{
    puts("\nOptions:");
    for (; rows && rows->name; rows++)
        print_option(rows);
    for (rows = options_common; rows->name; rows++)
        print_option(rows);
}

static void print_commands(const struct command *table)
{
    for (const struct command *command = table; command->name; command++) {
        char left[64];

        snprintf(left, sizeof(left), "%s %s", command->name, command->synopsis);
        if (command->run)
            print_row(left, command->summary);
    }
}

void command_print_overview(void)
{
    puts("Usage: weft [OPTION...] COMMAND [ARGUMENT...]\n"
         "Enqueues jobs, and shows their logs, their state and their queues.\n"
         "\n"
         "Commands (weft COMMAND --help says more):");
    print_commands(commands);
    print_options(options_global);
    puts("\nExit status: 0 done, 1 not found, 64 usage, 66 unreadable log, 69 Redis unavailable, 71 no memory,\n"
         "74 output or payload failed, 78 configuration.");
}

void command_print_help(const struct command *command, const char *name)
{
    assert(command->synopsis && command->summary);
    printf("Usage: weft %s%s%s%s\n%s.\n", name, command->run ? " [OPTION...]" : "", *command->synopsis ? " " : "",
           command->synopsis, command->summary);
    if (!command->run) {
        printf("\n`%s` is not in this version of weft.\n", name);
        return;
    }
    if (command->subcommands) {
        puts("\nCommands (`list` is what happens without one):");
        print_commands(command->subcommands);
    }
    print_options(command->rows);
    if (command->details)
        printf("\n%s", command->details);
}
