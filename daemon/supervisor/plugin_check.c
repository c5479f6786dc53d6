#include "daemon/supervisor/plugin_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/log.h>

#include "daemon/job_types.h"
#include "daemon/log/log_output.h"
#include "daemon/process.h"

/* More than that of a message is not read. */
#define MESSAGE_SIZE 4096

enum { CHECK_GOOD, CHECK_BAD };

/* In the child. The message goes through the pipe; what plugins print goes where the process's own output goes. */
static int check_here(const struct config *config, int fd)
{
    struct registry registry = {0};
    struct job_types types;
    char *message;
    int r = job_types_load(config, &registry, &types, &message);

    if (r == 0)
        job_types_done(&types);
    else if (dprintf(fd, "%s", message ? message : strerror(-r)) < 0)
        r = -EIO;
    free(r < 0 ? message : NULL);
    registry_done(&registry);
    return r < 0 ? CHECK_BAD : CHECK_GOOD;
}

/* What plugins log while they are loaded goes where this process logs. */
static bool is_for_check(int fd, const void *arg)
{
    return process_keeps_one(fd, arg) || log_output_has(NULL, fd);
}

int plugin_check_start(struct plugin_check *check, const struct config *config)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)fflush(NULL);
    pid_t pid = process_fork();
    if (pid == 0) {
        process_close_descriptors(is_for_check, &ends[1]);
        /* A plugin that hangs is killed. */
        process_mask_signals(SIG_SETMASK, (const int[]){0});
        exit(check_here(config, ends[1]));
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return pid;
    }
    weft_debug("process %d checks the plugins of %s", (int)pid, config->path);
    *check = (struct plugin_check){.config = config, .pid = pid, .fd = ends[0]};
    return 0;
}

static char *explain(const struct plugin_check *check, int status, const char *said)
{
    char *message;
    int size;

    if (WIFSIGNALED(status))
        size = asprintf(&message, "%s: loading the plugins ended in signal %s", check->config->path,
                        sigabbrev_np(WTERMSIG(status)));
    else if (said[0])
        size = asprintf(&message, "%s", said);
    else
        size = asprintf(&message, "%s: loading the plugins ended the process with exit status %d", check->config->path,
                        WEXITSTATUS(status));
    return size < 0 ? NULL : message;
}

int plugin_check_end(struct plugin_check *check, int status, char **ret_message)
{
    char said[MESSAGE_SIZE];
    /* A process that the plugin has started may hold the other end open for ever. */
    int r = fcntl(check->fd, F_SETFL, O_NONBLOCK);
    ssize_t size = r < 0 ? 0 : read(check->fd, said, sizeof(said) - 1);

    said[size > 0 ? size : 0] = '\0';
    (void)close(check->fd);
    check->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_GOOD)
        return 0;
    *ret_message = explain(check, status, said);
    return -EINVAL;
}

void plugin_check_kill(const struct plugin_check *check)
{
    if (check->pid > 0)
        (void)kill(check->pid, SIGKILL);
}

int plugin_check_run(const struct config *config, char **ret_message)
{
    struct plugin_check check;
    int status;
    int r = plugin_check_start(&check, config);

    *ret_message = NULL;
    if (r < 0)
        return r;
    while (waitpid(check.pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return plugin_check_end(&check, status, ret_message);
}
