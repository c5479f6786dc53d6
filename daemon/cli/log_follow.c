#include "daemon/cli/log_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context/cleanup.h"

bool log_follow_wait(int time_ms)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    if (fflush(stdout) != 0)
        return false;
    return poll(&output, 1, time_ms) <= 0 || !(output.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int log_follow(struct log_scan *scan, const char *path, int (*visit)(const struct log_found *found, void *user),
               void *user)
{
    CLEANUP_CLOSE int current = -1;

    while (log_follow_wait(LOG_FOLLOW_PERIOD_MS)) {
        struct stat here, there;
        int successor = -1;

        /* Opened before the old file is read to its end, so that no line gets lost between the two. */
        if (fstat(scan->fd, &here) == 0 && stat(path, &there) == 0 &&
            (here.st_dev != there.st_dev || here.st_ino != there.st_ino))
            successor = open(path, O_RDONLY | O_CLOEXEC);
        /* The file has been truncated: what had been read of a line that was never completed is forgotten. */
        if (fstat(scan->fd, &here) == 0 && here.st_size < scan->offset + (off_t)scan->used)
            log_scan_rewind(scan, scan->fd);
        int r = log_scan_read(scan, visit, user);
        if (successor >= 0) {
            log_scan_rewind(scan, successor);
            cleanup_close(&current);
            current = successor;
        }
        if (r < 0)
            return r;
    }
    return 0;
}
