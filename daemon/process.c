#include "daemon/process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "context/task/signal_stack.h"

enum {
    KEPT_MAX = 64,
    /* The first descriptors, among which those that are kept are looked for where there is no /proc. */
    NUMBERS_WITHOUT_PROC = 1024,
};

/* ---- Signals ---- */

/* The handlers of faults stay: a sanitizer may have installed them, which would miss the fault. */
static void reset_handlers(void)
{
    sigset_t others;

    signal_stack_others(&others);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        if (sigismember(&others, number) == 1 && sigaction(number, NULL, &action) == 0 &&
            action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            (void)signal(number, SIG_DFL);
    }
}

pid_t process_fork(void)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        reset_handlers();
        return 0;
    }
    int error = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return pid < 0 ? -error : pid;
}

void process_mask_signals(int how, const int *numbers)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    for (; *numbers; numbers++)
        (void)sigaddset(&signals, *numbers);
    (void)sigprocmask(how, &signals, NULL);
}

/* ---- Descriptors ---- */

/* Descriptors in ascending order. */
struct kept {
    int fds[KEPT_MAX];
    size_t count;
};

static void add_if_kept(struct kept *kept, int fd, bool (*keeps)(int fd, const void *arg), const void *arg)
{
    size_t at = kept->count;

    if (fd <= STDERR_FILENO || kept->count == KEPT_MAX || !keeps(fd, arg))
        return;
    for (; at > 0 && kept->fds[at - 1] > fd; at--)
        kept->fds[at] = kept->fds[at - 1];
    kept->fds[at] = fd;
    kept->count++;
}

static void find_kept(struct kept *kept, bool (*keeps)(int fd, const void *arg), const void *arg)
{
    DIR *open_ones = opendir("/proc/self/fd");

    if (!open_ones) {
        for (int fd = STDERR_FILENO + 1; fd < NUMBERS_WITHOUT_PROC; fd++)
            add_if_kept(kept, fd, keeps, arg);
        return;
    }
    for (const struct dirent *entry = readdir(open_ones); entry; entry = readdir(open_ones)) {
        int fd = atoi(entry->d_name);

        if (fd != dirfd(open_ones))
            add_if_kept(kept, fd, keeps, arg);
    }
    (void)closedir(open_ones);
}

/* From `first` to `last`, which may be the greatest number there is. */
static void close_between(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (first > last || close_range(first, last, 0) == 0)
        return;
    /* A kernel, or what stands in for one, that does not know the call. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && last >= limit.rlim_cur)
        last = (unsigned)limit.rlim_cur - 1;
    for (unsigned fd = first; fd <= last; fd++)
        (void)close((int)fd);
}

void process_close_descriptors(bool (*keeps)(int fd, const void *arg), const void *arg)
{
    struct kept kept = {.count = 0};
    unsigned first = STDERR_FILENO + 1;

    if (keeps)
        find_kept(&kept, keeps, arg);
    for (size_t i = 0; i < kept.count; i++) {
        close_between(first, (unsigned)kept.fds[i] - 1);
        first = (unsigned)kept.fds[i] + 1;
    }
    close_between(first, ~0U);
}

bool process_keeps_one(int fd, const void *arg)
{
    return fd == *(const int *)arg;
}

/* ---- Memory ---- */

static bool read_pages(pid_t pid, unsigned long *ret_resident, unsigned long *ret_shared)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool complete = fscanf(file, "%*u %lu %lu", ret_resident, ret_shared) == 2;
    (void)fclose(file);
    return complete;
}

size_t process_resident_bytes(pid_t pid)
{
    unsigned long resident, shared;

    return read_pages(pid, &resident, &shared) ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

size_t process_private_bytes(pid_t pid)
{
    unsigned long resident, shared;

    return read_pages(pid, &resident, &shared) ? (resident - shared) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
