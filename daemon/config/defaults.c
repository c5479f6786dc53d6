#include "daemon/config/defaults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "context/name.h"

#define NODE_SIZE_MAX 64
#define WORKERS_MAX   1024

/* An environment variable that holds an absolute path, as the XDG specification wants it, or NULL. */
static const char *get_folder(const char *variable)
{
    const char *folder = getenv(variable);

    return folder && folder[0] == '/' ? folder : NULL;
}

static int set_redis_dir(struct config *config)
{
    const char *state = get_folder("XDG_STATE_HOME");
    const char *home = get_folder("HOME");
    int size = 0;

    if (geteuid() == 0)
        size = asprintf(&config->redis.dir, "/var/lib/weft/redis");
    else if (state)
        size = asprintf(&config->redis.dir, "%s/weft/redis", state);
    else if (home)
        size = asprintf(&config->redis.dir, "%s/.local/state/weft/redis", home);
    if (size < 0) {
        config->redis.dir = NULL;
        return -ENOMEM;
    }
    return 0;
}

int config_defaults_set(struct config *config)
{
    char name[NODE_SIZE_MAX + 1] = "";
    int cores = get_nprocs();

    /* The host's name, made legal: Linux lets it be anything. One that is too long arrives cut, and perhaps without a
     * NUL. */
    (void)gethostname(name, sizeof(name));
    name[NODE_SIZE_MAX] = '\0';
    for (char *character = name; *character; character++)
        if (!name_is_valid(character, 1))
            *character = '-';
    config->node = strdup(name[0] ? name : "localhost");
    if (!config->node)
        return -ENOMEM;
    config->workers = (unsigned)(cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : cores);
    return set_redis_dir(config);
}
