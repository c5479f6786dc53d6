#include "daemon/config/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include "context/cleanup.h"

/* Reads until the end of the file or of the room. */
static int read_all(int fd, char *text, size_t room, size_t *ret_size)
{
    size_t size = 0;

    while (size < room) {
        ssize_t got = read(fd, text + size, room - size);

        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    *ret_size = size;
    return 0;
}

int config_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    int r;

    assert(max < SIZE_MAX);
    if (fd < 0)
        return -errno;
    /* One byte more than allowed shows that there is too much, and leaves room for the NUL. */
    text = malloc(max + 1);
    if (!text)
        return -ENOMEM;
    r = read_all(fd, text, max + 1, &size);
    if (r < 0)
        return r;
    if (size > max)
        return -EFBIG;
    text[size] = '\0';
    *ret_text = TAKE_POINTER(text);
    *ret_size = size;
    return 0;
}
