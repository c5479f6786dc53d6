#include "daemon/standard_descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int standard_descriptors_open(void)
{
    /* In this order, since open() gives the smallest number that is free. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* Children are to have it. */
        if (open("/dev/null", O_WRONLY) < 0)
            return -errno;
    }
    return 0;
}
