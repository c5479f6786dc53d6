#include "queue/redis/handshake.h"

#include <string.h>

static void write_auth(const struct queue_options *options, struct words *words)
{
    if (!options->password)
        return;
    if (options->username)
        words_start(words, "AUTH", options->username, options->password, NULL);
    else
        words_start(words, "AUTH", options->password, NULL);
}

static void write_select(const struct queue_options *options, struct words *words)
{
    if (options->database == 0)
        return;
    words_start(words, "SELECT", NULL);
    words_add_number(words, options->database);
}

void greeting_write(enum greeting_step step, const struct queue_options *options, const char *name, struct words *words)
{
    words_clear(words);
    switch (step) {
    case GREETING_AUTH:
        write_auth(options, words);
        break;
    case GREETING_SELECT:
        write_select(options, words);
        break;
    case GREETING_NAME:
        words_start(words, "CLIENT", "SETNAME", name, NULL);
        break;
    case GREETING_ID:
        words_start(words, "CLIENT", "ID", NULL);
        break;
    }
}

bool greeting_is_vital(enum greeting_step step)
{
    return step == GREETING_AUTH || step == GREETING_SELECT;
}

char *greeting_make_name(const char *name)
{
    char *copy = strdup(name);

    for (char *c = copy; c && *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '-';
    return copy;
}
