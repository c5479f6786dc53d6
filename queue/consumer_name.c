#include "queue/consumer_name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context/hash.h"

#define STATE_FIELD 3 /* of /proc/PID/stat, counted from 1 */
#define START_FIELD 22

#define PARTS 5 /* of a name, behind the node */

struct process {
    pid_t pid;
    uint64_t start; /* in the kernel's own unit; 0: could not be told */
};

struct consumer {
    size_t number;
    uint32_t host;
    struct process supervisor;
    struct process worker;
};

/* ---- What /proc says ---- */

/* Reads the beginning of a file as a string. */
static int read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, buffer, size - 1);
    (void)close(fd);
    if (length <= 0)
        return -EIO;
    buffer[length] = '\0';
    return 0;
}

static int read_status(pid_t pid, char *ret_state, uint64_t *ret_start)
{
    char path[64], text[1024];

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int r = read_file(path, text, sizeof(text));
    if (r < 0)
        return r;
    /* The second field is the program's name in parentheses, and may contain anything. */
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ')
        return -EIO;
    field += 2;
    *ret_state = *field;
    for (unsigned i = STATE_FIELD; field && i < START_FIELD; i++) {
        field = strchr(field, ' ');
        field = field ? field + 1 : NULL;
    }
    if (!field)
        return -EIO;
    *ret_start = strtoull(field, NULL, 10);
    return 0;
}

static struct process find_process(pid_t pid)
{
    struct process process = {.pid = pid};
    char state;

    if (read_status(pid, &state, &process.start) < 0)
        process.start = 0;
    return process;
}

static bool lives(const struct process *process)
{
    uint64_t start;
    char state;
    int r = read_status(process->pid, &state, &start);

    /* Where other users' processes are hidden, they are not in /proc; they can be signalled at, though not with
     * success. */
    if (r < 0)
        return kill(process->pid, 0) == 0 || errno != ESRCH;
    if (state == 'Z' || state == 'X')
        return false;
    return process->start == 0 || process->start == start;
}

uint32_t consumer_host(void)
{
    struct stat space; /* of PIDs */
    char boot[64];

    if (read_file("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) < 0 || stat("/proc/self/ns/pid", &space) < 0)
        return 0;
    uint32_t hash = hash_add_32(HASH_32, boot, strlen(boot));
    hash = hash_add_32(hash, &space.st_ino, sizeof(space.st_ino));
    return hash ? hash : 1;
}

/* ---- Names ---- */

int consumer_format(char *buffer, size_t size, const char *node, size_t number, uint64_t nonce, pid_t supervisor,
                    pid_t worker)
{
    struct process above = find_process(supervisor);
    struct process below = find_process(worker);
    int length = snprintf(buffer, size, "%s.%zu.%016" PRIx64 ".%08" PRIx32 ".%x-%" PRIx64 ".%x-%" PRIx64, node, number,
                          nonce, consumer_host(), (unsigned)above.pid, above.start, (unsigned)below.pid, below.start);

    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

/* What follows the dot in front of the last `parts` parts of a name; NULL: there are not that many, or nothing is in
 * front of them. */
static const char *find_parts(const char *name, unsigned parts)
{
    for (const char *end = name + strlen(name); end > name + 1; end--)
        if (end[-1] == '.' && --parts == 0)
            return end;
    return NULL;
}

/* Reads a number that ends with `stop`, and moves on behind it. */
static bool take_number(const char **text, int base, char stop, uint64_t *ret_number)
{
    char *end;

    if (!isxdigit((unsigned char)**text))
        return false;
    errno = 0;
    uint64_t number = strtoull(*text, &end, base);
    if (errno != 0 || *end != stop)
        return false;
    *text = stop ? end + 1 : end;
    *ret_number = number;
    return true;
}

static bool take_process(const char **text, char stop, struct process *ret_process)
{
    uint64_t pid, start;

    if (!take_number(text, 16, '-', &pid) || pid == 0 || pid > INT_MAX || !take_number(text, 16, stop, &start))
        return false;
    *ret_process = (struct process){(pid_t)pid, start};
    return true;
}

static bool parse_name(const char *name, struct consumer *ret_consumer)
{
    const char *text = find_parts(name, PARTS);
    struct consumer consumer;
    uint64_t number, nonce, host;

    if (!text || !take_number(&text, 10, '.', &number) || !take_number(&text, 16, '.', &nonce) ||
        !take_number(&text, 16, '.', &host) || host > UINT32_MAX || !take_process(&text, '.', &consumer.supervisor) ||
        !take_process(&text, '\0', &consumer.worker))
        return false;
    consumer.number = (size_t)number;
    consumer.host = (uint32_t)host;
    *ret_consumer = consumer;
    return true;
}

bool consumer_read(const char *name, struct consumer_identity *ret_identity)
{
    struct consumer consumer;

    if (!parse_name(name, &consumer))
        return false;
    *ret_identity = (struct consumer_identity){
        .node_size = (size_t)(find_parts(name, PARTS) - 1 - name),
        .number = consumer.number,
        .worker = consumer.worker.pid,
    };
    return true;
}

enum consumer_life consumer_look(const char *name, uint32_t host)
{
    struct consumer consumer;

    if (!parse_name(name, &consumer) || consumer.host != host)
        return CONSUMER_ELSEWHERE;
    if (host == 0 || lives(&consumer.supervisor) || lives(&consumer.worker))
        return CONSUMER_ALIVE;
    return CONSUMER_DEAD;
}
