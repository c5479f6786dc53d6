#include "daemon/cli/log_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/log/log.h"

/* Has to hold the longest line, and pays where it holds many. */
#define PIECE_SIZE ((size_t)2 * LOG_LINE_MAX)

int log_scan_init(struct log_scan *scan, int fd, const char *id)
{
    *scan = (struct log_scan){.fd = fd, .id = id, .buffer = malloc(PIECE_SIZE)};
    return scan->buffer ? 0 : -ENOMEM;
}

void log_scan_done(struct log_scan *scan)
{
    free(scan->buffer);
    scan->buffer = NULL;
}

void log_scan_rewind(struct log_scan *scan, int fd)
{
    scan->fd = fd;
    scan->offset = 0;
    scan->used = 0;
    scan->skipping = false;
}

/* Looks for the ID in all lines at once. */
static int search_lines(const struct log_scan *scan, size_t size,
                        int (*visit)(const struct log_found *found, void *user), void *user)
{
    const char *at = scan->buffer, *end = scan->buffer + size;
    size_t id_size = strlen(scan->id);
    int r = 0;

    while (r == 0) {
        const char *hit = memmem(at, (size_t)(end - at), scan->id, id_size);

        if (!hit)
            break;
        const char *before = memrchr(at, '\n', (size_t)(hit - at));
        const char *line = before ? before + 1 : at;
        const char *line_end = memchr(hit, '\n', (size_t)(end - hit));
        struct log_found found = {
            .line = line,
            .size = (size_t)(line_end - line),
            .offset = scan->offset + (line - scan->buffer),
        };

        if (log_match_line(found.line, found.size, scan->id, &found.time_us))
            r = visit(&found, user);
        at = line_end + 1;
    }
    return r;
}

static void consume(struct log_scan *scan, size_t size)
{
    memmove(scan->buffer, scan->buffer + size, scan->used - size);
    scan->used -= size;
    scan->offset += (off_t)size;
}

/* Takes the complete lines out of the buffer. */
static int take_lines(struct log_scan *scan, int (*visit)(const struct log_found *found, void *user), void *user)
{
    int r = 0;

    if (scan->skipping) {
        const char *end = memchr(scan->buffer, '\n', scan->used);

        scan->skipping = !end;
        consume(scan, end ? (size_t)(end - scan->buffer) + 1 : scan->used);
    }
    const char *last = memrchr(scan->buffer, '\n', scan->used);
    size_t size = last ? (size_t)(last - scan->buffer) + 1 : 0;

    if (size > 0)
        r = search_lines(scan, size, visit, user);
    consume(scan, size);
    if (scan->used == PIECE_SIZE) {
        scan->skipping = true;
        consume(scan, scan->used);
    }
    return r;
}

int log_scan_read(struct log_scan *scan, int (*visit)(const struct log_found *found, void *user), void *user)
{
    int r = 0;

    assert(scan->buffer && scan->id[0] && scan->used < PIECE_SIZE);
    while (r == 0) {
        ssize_t got =
            pread(scan->fd, scan->buffer + scan->used, PIECE_SIZE - scan->used, scan->offset + (off_t)scan->used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        scan->used += (size_t)got;
        r = take_lines(scan, visit, user);
    }
    return r;
}
