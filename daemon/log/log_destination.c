#include "daemon/log/log_destination.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "context/hash.h"
#include "daemon/log/journal.h"

/* Those that <linux/magic.h> of some systems does not have. */
#define MAGIC_FUSE 0x65735546
#define MAGIC_CIFS 0xff534d42
#define MAGIC_SMB2 0xfe534d42
#define MAGIC_CEPH 0x00c36400

enum {
    LOG_FILE_MODE = 0640,
    /* As much as other writers have to wait for. */
    SOCKET_PIECE = 64 * 1024,
    TERMINAL_PIECE = 4096,
    /* Of a terminal that says that it takes something, but not how much. */
    WAITING_TERMINAL_PIECE = 128,
    /* While another process has the turn, which no descriptor tells the end of. */
    TURN_POLL_MS = 1,
};

/* ---- What it is ---- */

static bool is_of_another_host(int fd)
{
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return true;
    switch ((unsigned long)status.f_type & 0xffffffffUL) {
    case NFS_SUPER_MAGIC:
    case V9FS_MAGIC:
    case SMB_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
    case MAGIC_FUSE:
    case MAGIC_CIFS:
    case MAGIC_SMB2:
    case MAGIC_CEPH:
        return true;
    default:
        return false;
    }
}

static enum log_destination_kind find_kind(int fd, const struct stat *status)
{
    int type = SOCK_STREAM;
    socklen_t type_size = sizeof(type);

    if (S_ISREG(status->st_mode))
        return is_of_another_host(fd) ? LOG_TO_SHARED_FILE : LOG_TO_FILE;
    if (S_ISFIFO(status->st_mode))
        return LOG_TO_PIPE;
    if (S_ISSOCK(status->st_mode)) {
        (void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size);
        return type == SOCK_STREAM ? LOG_TO_SOCKET : LOG_TO_PACKETS;
    }
    return isatty(fd) == 1 ? LOG_TO_TERMINAL : LOG_TO_DEVICE;
}

/* ---- Opening ---- */

/* Without waiting: a FIFO that nobody reads is opened for both directions, so that its reader may come, go and come
 * again. Where that is forbidden it needs a reader now. */
static int open_named(const char *name)
{
    const int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat status;
    bool is_new = stat(name, &status) < 0;
    bool is_fifo = !is_new && S_ISFIFO(status.st_mode);
    int fd = open(name, flags | (is_fifo ? O_RDWR : O_WRONLY), LOG_FILE_MODE);

    if (fd < 0 && is_fifo)
        fd = open(name, flags | O_WRONLY);
    if (fd < 0)
        return -errno;
    /* Whoever is in the group of the service is to read it, whatever the mask for what jobs write. */
    if (is_new)
        (void)fchmod(fd, LOG_FILE_MODE);
    return fd;
}

/* A pipe or terminal that was inherited is shared with others, such as the shell, whose calls must go on to wait: it
 * is opened once more, since that a descriptor does not wait holds for all who share the opening. */
static void open_once_more(struct log_destination *destination)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", destination->fd);
    int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    destination->waits = fd < 0;
    if (fd >= 0) {
        destination->fd = fd;
        destination->owned = true;
    }
}

/* Finds out what is behind the descriptor. */
static int look_behind(struct log_destination *destination)
{
    struct stat status;

    if (fstat(destination->fd, &status) < 0)
        return -errno;
    destination->kind = find_kind(destination->fd, &status);
    if (!destination->named && (destination->kind == LOG_TO_PIPE || destination->kind == LOG_TO_TERMINAL))
        open_once_more(destination);
    /* A file that is rotated stays the same output. */
    bool by_name = destination->named && S_ISREG(status.st_mode);
    int r = by_name ? log_turn_new(UINT64_MAX, hash_add_64(HASH_64, destination->name, strlen(destination->name)),
                                   &destination->turn)
                    : log_turn_new(status.st_dev, status.st_ino, &destination->turn);
    if (r == 0 && destination->named)
        log_turn_set_gone(destination->turn, false);
    return r;
}

static int open_destination(const struct config *config, const char *name, struct log_destination *ret_destination)
{
    struct log_destination destination = {.fd = STDERR_FILENO, .name = name};
    int r = 0;

    if (strcmp(name, "stdout") == 0) {
        destination.fd = STDOUT_FILENO;
    } else if (strcmp(name, "journal") == 0) {
        if (!journal_is_supported())
            return -EOPNOTSUPP;
        destination.kind = LOG_TO_JOURNAL;
    } else if (strcmp(name, "auto") == 0) {
        if (journal_is_behind(STDERR_FILENO))
            destination.kind = LOG_TO_JOURNAL;
    } else if (strcmp(name, "stderr") != 0) {
        destination.fd = open_named(name);
        destination.owned = destination.named = true;
        if (destination.fd < 0)
            return destination.fd;
    }
    if (destination.kind != LOG_TO_JOURNAL)
        r = look_behind(&destination);
    if (r < 0) {
        log_destination_close(&destination);
        return r;
    }
    bool terminal = destination.kind == LOG_TO_TERMINAL;
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
    if (names->count > LOG_BUFFERS_MAX) {
        const struct config_mark *mark = &names->items[LOG_BUFFERS_MAX].mark;

        if (asprintf(ret_message, "%s:%u:%u: \"log.output\" can name at most %d outputs, not %zu", config->path,
                     mark->line, mark->column, LOG_BUFFERS_MAX, names->count) < 0)
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
    if (!destination->named)
        return 0;
    int fd = open_named(destination->name);
    if (fd < 0)
        return fd;
    int r = dup3(fd, destination->fd, O_CLOEXEC) < 0 ? -errno : 0;
    (void)close(fd);
    if (r == 0)
        log_turn_set_gone(destination->turn, false);
    return r;
}

bool log_destination_may_use(const struct log_destination *destination, int fd)
{
    return destination->kind == LOG_TO_JOURNAL ? journal_may_own(fd) : destination->fd == fd;
}

void log_destination_close(struct log_destination *destination)
{
    if (destination->owned)
        (void)close(destination->fd);
    destination->turn = log_turn_unref(destination->turn);
}

/* ---- Writing ---- */

static bool is_file(const struct log_destination *destination)
{
    return destination->kind == LOG_TO_FILE || destination->kind == LOG_TO_SHARED_FILE;
}

/* Lines that are whole, as many as fit into so many bytes; of a line that does not, so many bytes. */
static size_t cut_at_line(const char *bytes, size_t size, size_t limit)
{
    if (size <= limit)
        return size;
    const char *last = memrchr(bytes, '\n', limit);

    return last ? (size_t)(last - bytes) + 1 : limit;
}

/* The size of the first line, with its end. */
static size_t first_line(const char *bytes, size_t size)
{
    const char *end = memchr(bytes, '\n', size);

    return end ? (size_t)(end - bytes) + 1 : size;
}

/* Gives how many bytes it took, or a negative errno. */
static ssize_t write_piece(const struct log_destination *destination, const char *bytes, size_t size)
{
    ssize_t written;

    if (destination->waits) {
        struct pollfd ready = {.fd = destination->fd, .events = POLLOUT};

        if (poll(&ready, 1, 0) == 0)
            return -EAGAIN;
    }
    switch (destination->kind) {
    case LOG_TO_PIPE:
        written = write(destination->fd, bytes, cut_at_line(bytes, size, PIPE_BUF));
        break;
    case LOG_TO_TERMINAL:
        written = write(destination->fd, bytes,
                        cut_at_line(bytes, size, destination->waits ? WAITING_TERMINAL_PIECE : TERMINAL_PIECE));
        break;
    case LOG_TO_SOCKET:
        written = send(destination->fd, bytes, cut_at_line(bytes, size, SOCKET_PIECE), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case LOG_TO_PACKETS:
        written = send(destination->fd, bytes, first_line(bytes, size), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    default:
        written = write(destination->fd, bytes, size);
        break;
    }
    return written < 0 ? -errno : written;
}

/* Nobody will read from it again, as opposed to a disk that is full. */
static bool is_for_good(const struct log_destination *destination, ssize_t error)
{
    switch (error) {
    case -EAGAIN:
    case -EINTR:
    case -ENOBUFS:
    case -ENOMEM:
    case -ENOSPC:
        return false;
    case -EBADF:
    case -EINVAL:
        return true;
    default:
        return !is_file(destination);
    }
}

static void give_turn(const struct log_destination *destination)
{
    if (destination->kind != LOG_TO_FILE)
        log_turn_give(destination->turn);
}

/* Ends a line that others have left torn. */
static ssize_t mend(const struct log_destination *destination)
{
    if (!log_turn_is_torn(destination->turn))
        return 0;
    ssize_t written = write_piece(destination, "\n", 1);

    if (written < 0)
        log_turn_tear(destination->turn);
    return written < 0 ? written : 0;
}

/* Writes a piece, and takes it out of the buffer. `*within_line`: whether the last one ended within a line. */
static ssize_t write_next(struct log_destination *destination, const struct log_buffer *buffer, const char *bytes,
                          size_t size, bool *within_line)
{
    ssize_t written = *within_line ? 0 : mend(destination);

    if (written == 0)
        written = write_piece(destination, bytes, size);
    if (written == -EMSGSIZE && destination->kind == LOG_TO_PACKETS) {
        /* A line that is too long for a message is lost alone. */
        written = (ssize_t)first_line(bytes, size);
        destination->lost++;
    }
    if (written <= 0)
        return written;
    size_t taken = (size_t)written;
    *within_line = bytes[taken - 1] != '\n';
    if (*within_line && is_file(destination)) {
        /* The disk is full. Others may append before the rest of the line would: it is written again, whole. */
        const char *last = memrchr(bytes, '\n', taken);

        taken = last ? (size_t)(last - bytes) + 1 : 0;
        *within_line = false;
        log_turn_tear(destination->turn);
        written = -ENOSPC;
    }
    log_buffer_take(buffer, taken);
    return written;
}

static void lose_all(struct log_destination *destination, const struct log_buffer *buffer)
{
    destination->lost += (unsigned)log_buffer_discard(buffer);
}

int log_destination_write(struct log_destination *destination, const struct log_buffer *buffer, uint32_t id)
{
    enum log_turn_state turn = LOG_TURN_TAKEN;
    ssize_t written = 0;
    size_t size;

    if (log_turn_is_gone(destination->turn)) {
        lose_all(destination, buffer);
        return 0;
    }
    if (log_buffer_is_empty(buffer))
        return 0;
    if (destination->kind != LOG_TO_FILE)
        turn = log_turn_take(destination->turn, id);
    if (turn == LOG_TURN_OTHERS)
        return -EAGAIN;
    bool within_line = turn == LOG_TURN_KEPT;
    for (const char *bytes = log_buffer_peek(buffer, &size); size > 0; bytes = log_buffer_peek(buffer, &size)) {
        written = write_next(destination, buffer, bytes, size, &within_line);
        if (written < 0 && written != -EINTR)
            break;
    }
    if (written >= 0) {
        give_turn(destination);
        return 0;
    }
    if (is_for_good(destination, written)) {
        log_turn_set_gone(destination->turn, true);
        lose_all(destination, buffer);
        give_turn(destination);
        return (int)written;
    }
    if (!within_line)
        give_turn(destination);
    return (int)written;
}

void log_destination_wait(const struct log_destination *destination, int time_ms)
{
    struct pollfd ready = {.fd = destination->fd, .events = POLLOUT};

    /* An output that could take something, but was not asked to, waits for its turn. */
    if (poll(&ready, 1, time_ms) > 0)
        (void)poll(NULL, 0, TURN_POLL_MS);
}
