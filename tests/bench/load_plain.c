/*
 * The least time that CPU-bound jobs can take: runs them one after the other without any queue.
 *
 *     load_plain JOBS MILLISECONDS
 */
#include <stdio.h>
#include <stdlib.h>

#include "load_busy.h"

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: load_plain JOBS MILLISECONDS\n");
        return 64;
    }
    for (long jobs = strtol(argv[1], NULL, 10); jobs > 0; jobs--)
        be_busy(strtol(argv[2], NULL, 10));
    return 0;
}
