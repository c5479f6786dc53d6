#include "queue/redis/handshake.h"

#include <string.h>

static void write_auth(const struct queue_options *options, struct command *command)
{
    if (!options->password)
        return;
    if (options->username)
        command_start(command, "AUTH", options->username, options->password, NULL);
    else
        command_start(command, "AUTH", options->password, NULL);
}

static void write_select(const struct queue_options *options, struct command *command)
{
    if (options->database == 0)
        return;
    command_start(command, "SELECT", NULL);
    command_add_number(command, options->database);
}

void handshake_write(enum handshake_step step, const struct queue_options *options, const char *name,
                     struct command *command)
{
    command_clear(command);
    switch (step) {
    case HANDSHAKE_AUTH:
        write_auth(options, command);
        break;
    case HANDSHAKE_SELECT:
        write_select(options, command);
        break;
    case HANDSHAKE_NAME:
        command_start(command, "CLIENT", "SETNAME", name, NULL);
        break;
    case HANDSHAKE_ID:
        command_start(command, "CLIENT", "ID", NULL);
        break;
    }
}

bool handshake_is_vital(enum handshake_step step)
{
    return step == HANDSHAKE_AUTH || step == HANDSHAKE_SELECT;
}

char *handshake_make_name(const char *name)
{
    char *copy = strdup(name);

    for (char *c = copy; c && *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '-';
    return copy;
}
