#include "daemon/cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "context/macros.h"

#define HELP_COLUMN 28

const struct option_row options_global[] = {
    {0, "version", NULL, "print the version, and end", offsetof(struct options, version)},
    {0},
};

#define NOT_IMPLEMENTED(variable_, name_, synopsis_, summary_)                                                         \
    static const struct command variable_ = {.name = (name_), .synopsis = (synopsis_), .summary = (summary_)}

NOT_IMPLEMENTED(not_implemented_trace, "trace", "ID", "Show the spans of one job as a tree");
NOT_IMPLEMENTED(not_implemented_nodes, "nodes", "", "List the nodes");
NOT_IMPLEMENTED(not_implemented_pause, "pause", "QUEUE", "Stop taking jobs from a queue");
NOT_IMPLEMENTED(not_implemented_resume, "resume", "QUEUE", "Take jobs from a queue again");
NOT_IMPLEMENTED(not_implemented_top, "top", "", "Watch the queues and the nodes");

const struct command *const commands[] = {
    &command_enqueue,       &command_logs,          &command_status,         &command_ps,
    &command_cancel,        &command_queues,        &command_dead,           &not_implemented_trace,
    &not_implemented_nodes, &not_implemented_pause, &not_implemented_resume, &not_implemented_top,
};
const size_t command_count = ELEMENTS(commands);

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

const struct command *command_find_sub(const struct command *command, const char *name)
{
    for (const struct command *sub = command->subcommands; sub && sub->name; sub++) {
        if (strcmp(sub->name, name) == 0)
            return sub;
    }
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

static void print_command(const struct command *command)
{
    char left[64];

    if (!command->run)
        return;
    snprintf(left, sizeof(left), "%s %s", command->name, command->synopsis);
    print_row(left, command->summary);
}

void command_print_overview(void)
{
    puts("Usage: weft [OPTION...] COMMAND [ARGUMENT...]\n"
         "Enqueues jobs, and shows their logs, their state and their queues.\n"
         "\n"
         "Commands (weft COMMAND --help says more):");
    for (size_t i = 0; i < command_count; i++)
        print_command(commands[i]);
    print_options(options_global);
    puts("\nExit status: 0 done, 1 not found, 64 usage, 66 unreadable log, 69 Redis unavailable, 71 no memory,\n"
         "74 output or payload failed, 78 configuration.");
}

void command_print_help(const struct command *command, const char *name)
{
    printf("Usage: weft %s%s%s%s\n%s.\n", name, command->run ? " [OPTION...]" : "", *command->synopsis ? " " : "",
           command->synopsis, command->summary);
    if (!command->run) {
        printf("\n`%s` is not in this version of weft.\n", name);
        return;
    }
    if (command->subcommands)
        puts("\nCommands (`list` is what happens without one):");
    for (const struct command *sub = command->subcommands; sub && sub->name; sub++)
        print_command(sub);
    print_options(command->rows);
    if (command->details)
        printf("\n%s", command->details);
}
