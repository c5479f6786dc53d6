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

void oom_init(struct oom *oom)
{
    char line[3072];
    FILE *file = fopen("/proc/self/cgroup", "re");

    oom->path[0] = '\0';
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        /* The line of the unified hierarchy is `0::/PATH`. */
        if (strncmp(line, "0::/", 4) == 0)
            (void)snprintf(oom->path, sizeof(oom->path), "/sys/fs/cgroup%s/memory.events", line + 3);
    }
    if (file)
        (void)fclose(file);
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
