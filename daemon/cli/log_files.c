#include "daemon/cli/log_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "context/cleanup.h"
#include "daemon/cli/problem.h"

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int add(struct log_files *files, int fd)
{
    int *fds = fd < 0 ? NULL : reallocarray(files->fds, files->count + 1, sizeof(*fds));

    if (!fds) {
        if (fd >= 0)
            (void)close(fd);
        return fd < 0 ? fd : -ENOMEM;
    }
    files->fds = fds;
    files->fds[files->count++] = fd;
    return 0;
}

int log_files_open(struct log_files *files, const char *path)
{
    return add(files, open_file(path));
}

void log_files_close(struct log_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        (void)close(files->fds[i]);
    for (size_t i = 0; i < files->rotated_count; i++)
        free(files->rotated[i].path);
    free(files->fds);
    free(files->rotated);
    *files = (struct log_files){0};
}

/* ---- Rotated ones ---- */

/* Into a file without a name. */
static int unpack(int packed)
{
    FILE *file = tmpfile();
    int fd = file ? fcntl(fileno(file), F_DUPFD_CLOEXEC, 0) : -1;
    int status = -1;

    if (file)
        (void)fclose(file);
    if (fd < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(packed, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
            (void)execlp("gzip", "gzip", "-dc", (char *)NULL);
        _exit(EX_UNAVAILABLE);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        (void)close(fd);
        return pid < 0 ? -EAGAIN : -EIO;
    }
    return fd;
}

/* Whether what follows the file's name is what a rotation adds: a number or a date, and what packing adds to that. */
static bool is_rotated(const char *end)
{
    if (*end != '.' && *end != '-')
        return false;
    size_t size = strspn(end + 1, "0123456789-");

    return size > 0 && (!end[1 + size] || strcmp(end + 1 + size, ".gz") == 0);
}

/* A file that has been rotated since it was opened is not one more. */
static int add_rotated(struct log_files *files, const char *folder, const char *name)
{
    struct stat status, own;
    char *path;

    if (asprintf(&path, "%s%s", folder, name) < 0)
        return -ENOMEM;
    struct log_rotated *rotated = reallocarray(files->rotated, files->rotated_count + 1, sizeof(*rotated));
    if (rotated)
        files->rotated = rotated;
    if (!rotated || stat(path, &status) < 0 || !S_ISREG(status.st_mode) ||
        (fstat(files->fds[0], &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino)) {
        free(path);
        return rotated ? 0 : -ENOMEM;
    }
    files->rotated[files->rotated_count++] = (struct log_rotated){
        .path = path,
        .written_us = status.st_mtim.tv_sec * INT64_C(1000000) + status.st_mtim.tv_nsec / 1000,
    };
    return 0;
}

static int compare_rotated(const void *one, const void *other)
{
    int64_t first = ((const struct log_rotated *)one)->written_us;
    int64_t second = ((const struct log_rotated *)other)->written_us;

    return first > second ? -1 : first < second;
}

int log_files_find_rotated(struct log_files *files, const char *path)
{
    assert(files->count == 1 && path[0] == '/');
    const char *name = strrchr(path, '/') + 1;
    size_t name_size = strlen(name);
    CLEANUP_FREE char *folder = strndup(path, (size_t)(name - path));
    int r = 0;

    if (!folder)
        return -ENOMEM;
    DIR *entries = opendir(folder);
    if (!entries)
        return -errno;
    for (const struct dirent *entry; r == 0 && (entry = readdir(entries));)
        if (strncmp(entry->d_name, name, name_size) == 0 && is_rotated(entry->d_name + name_size))
            r = add_rotated(files, folder, entry->d_name);
    (void)closedir(entries);
    if (files->rotated_count > 0)
        qsort(files->rotated, files->rotated_count, sizeof(*files->rotated), compare_rotated);
    return r;
}

static int open_unpacked(const char *path)
{
    int fd = open_file(path);
    const char *end = strrchr(path, '.');

    if (fd < 0 || !end || strcmp(end, ".gz") != 0)
        return fd;
    int unpacked = unpack(fd);

    (void)close(fd);
    return unpacked;
}

bool log_files_open_rotated(struct log_files *files, int64_t since_us)
{
    while (files->next < files->rotated_count && files->rotated[files->next].written_us >= since_us) {
        const char *path = files->rotated[files->next++].path;
        int r = add(files, open_unpacked(path));

        if (r == 0)
            return true;
        (void)problem_report(EX_OK, "the rotated log %s cannot be read: %s", path, strerror(-r));
    }
    return false;
}
