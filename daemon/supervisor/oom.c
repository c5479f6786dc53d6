#include "daemon/supervisor/oom.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Lines of both files are `NAME NUMBER`. */
static int64_t read_counter(const char *path)
{
    int64_t count = -1, value;
    char name[64];
    FILE *file = fopen(path, "re");

    if (!file)
        return -1;
    while (fscanf(file, "%63s %" SCNd64, name, &value) == 2)
        if (strcmp(name, "oom_kill") == 0)
            count = value;
    (void)fclose(file);
    return count;
}

/* The unified hierarchy's line is `0::/PATH`. */
static void find_cgroup(char *path, size_t size)
{
    char line[3072];
    FILE *file = fopen("/proc/self/cgroup", "re");

    path[0] = '\0';
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            (void)snprintf(path, size, "/sys/fs/cgroup%s/memory.events", line + 3);
    }
    if (file)
        (void)fclose(file);
}

void oom_init(struct oom *oom)
{
    find_cgroup(oom->path, sizeof(oom->path));
    oom->count = read_counter(oom->path);
    if (oom->count >= 0)
        return;
    (void)snprintf(oom->path, sizeof(oom->path), "/proc/vmstat");
    oom->count = read_counter(oom->path);
}

bool oom_has_killed(struct oom *oom)
{
    int64_t before = oom->count;

    oom->count = read_counter(oom->path);
    return before >= 0 && oom->count > before;
}
