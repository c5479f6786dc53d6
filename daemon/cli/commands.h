/*
 * The table of commands, how one is found, and the help that is made of it.
 */
#pragma once

#include "daemon/cli/command.h"

/* All of them, in the order of the help. */
extern const struct command commands[];

/* Options of weft itself, which come before the command. */
extern const struct option_row options_global[];

/* The command of that name in a table, or NULL. `table` NULL: there is none. */
const struct command *command_find(const struct command *table, const char *name);

/* Print the help of weft and of a command on stdout. `name` is the command's full one, such as `dead show`. */
void command_print_overview(void);
void command_print_help(const struct command *command, const char *name);
