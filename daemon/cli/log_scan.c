#include "daemon/cli/log_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/log/log.h"

/* Has to hold the longest line, and pays where it holds many. */
#define PIECE_SIZE ((size_t)2 * LOG_LINE_MAX)

int log_scan_init(struct log_scan *scan, int fd, const struct log_filter *filter)
{
    *scan = (struct log_scan){.fd = fd, .filter = filter, .buffer = malloc(PIECE_SIZE)};
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

/* Where the next line that may be wanted has a byte; an ID is looked for in all lines at once. */
static const char *find_next(const struct log_scan *scan, const char *at, const char *end)
{
    const char *id = scan->filter->id;

    if (id)
        return memmem(at, (size_t)(end - at), id, strlen(id));
    return at < end ? at : NULL;
}

static int search_lines(const struct log_scan *scan, size_t size,
                        int (*visit)(const struct log_found *found, void *user), void *user)
{
    const char *at = scan->buffer, *end = scan->buffer + size;
    int r = 0;

    while (r == 0) {
        const char *hit = find_next(scan, at, end);

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

        if (log_match_line(found.line, found.size, scan->filter, &found.time_us))
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

    assert(scan->buffer && (!scan->filter->id || scan->filter->id[0]) && scan->used < PIECE_SIZE);
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
