#include "daemon/log/log_destination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log/journal.h"
#include "daemon/scoreboard/scoreboard.h"

/* ---- Opening ---- */

static int open_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    return fd < 0 ? -errno : fd;
}

static int open_destination(const struct config *config, const char *name, struct log_destination *ret_destination)
{
    struct log_destination destination = {.fd = STDERR_FILENO, .name = name};

    if (strcmp(name, "stdout") == 0) {
        destination.fd = STDOUT_FILENO;
    } else if (strcmp(name, "journal") == 0) {
        if (!journal_is_supported())
            return -EOPNOTSUPP;
        destination.journal = true;
    } else if (strcmp(name, "auto") == 0) {
        destination.journal = journal_is_behind(STDERR_FILENO);
    } else if (strcmp(name, "stderr") != 0) {
        destination.fd = open_file(name);
        destination.owned = true;
        if (destination.fd < 0)
            return destination.fd;
    }
    bool terminal = isatty(destination.fd) == 1;
    destination.text = config->log.format == CONFIG_LOG_TEXT || (config->log.format == CONFIG_LOG_AUTO && terminal);
    destination.colour = terminal && !getenv("NO_COLOR");
    *ret_destination = destination;
    return 0;
}

int log_destinations_open(const struct config *config, struct log_destination *destinations, size_t *ret_count,
                          char **ret_message)
{
    const struct config_strings *names = &config->log.outputs;

    *ret_count = 0;
    if (names->count > SCOREBOARD_OUTPUTS_MAX) {
        const struct config_mark *mark = &names->items[SCOREBOARD_OUTPUTS_MAX].mark;

        if (asprintf(ret_message, "%s:%u:%u: \"log.output\" can name at most %d outputs, not %zu", config->path,
                     mark->line, mark->column, SCOREBOARD_OUTPUTS_MAX, names->count) < 0)
            *ret_message = NULL;
        return -EINVAL;
    }
    for (size_t i = 0; i < names->count; i++) {
        int r = open_destination(config, names->items[i].text, &destinations[i]);

        if (r < 0) {
            const struct config_string *name = &names->items[i];
            bool unknown = r == -EOPNOTSUPP;

            if (asprintf(ret_message, "%s:%u:%u: the log %s%s cannot be written: %s", config->path, name->mark.line,
                         name->mark.column, unknown ? "" : "file ", name->text,
                         unknown ? "this weftd was built without libsystemd; auto or a file's path can be"
                                 : strerror(-r)) < 0)
                *ret_message = NULL;
            return r;
        }
        ++*ret_count;
    }
    return 0;
}

/* ---- Open ones ---- */

int log_destination_reopen(const struct log_destination *destination)
{
    if (!destination->owned)
        return 0;
    int fd = open_file(destination->name);
    if (fd < 0)
        return fd;
    int r = dup3(fd, destination->fd, O_CLOEXEC) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

bool log_destination_may_use(const struct log_destination *destination, int fd)
{
    return destination->journal ? journal_may_own(fd) : destination->fd == fd;
}

void log_destination_close(const struct log_destination *destination)
{
    if (destination->owned)
        (void)close(destination->fd);
}
