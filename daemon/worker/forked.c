#include "daemon/worker/forked.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/fork_guard.h"

/* fork() has no argument for its handlers, so what they need is global. */
static struct {
    struct event_base *base;
    int poll_fd; /* the loop's epoll descriptor; -1: it has none */
} worker;

/* libevent does not tell. The loop's is the only one that a worker has at its beginning. */
static int find_poll_fd(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int found = -1;

    if (!directory)
        return -1;
    for (const struct dirent *entry = readdir(directory); entry && found < 0; entry = readdir(directory)) {
        char target[64];
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

        target[size > 0 ? size : 0] = '\0';
        if (strcmp(target, "anon_inode:[eventpoll]") == 0)
            found = atoi(entry->d_name);
    }
    (void)closedir(directory);
    return found;
}

static void in_child(void)
{
    /* They would tell the worker's loop, by a socket that is shared. */
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    /* The kernel's side of the loop is still shared: an event that the copy deletes while it cleans up would be lost to
     * the worker. */
    int nothing = worker.poll_fd >= 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (nothing >= 0) {
        (void)dup3(nothing, worker.poll_fd, O_CLOEXEC);
        (void)close(nothing);
    }
    (void)event_base_loopbreak(worker.base);
}

void forked_prepare(struct event_base *base)
{
    worker.base = base;
    worker.poll_fd = find_poll_fd();
    fork_guard_install(in_child);
}

void forked_check(void)
{
    if (fork_guard_is_copy)
        fork_guard_end();
}
