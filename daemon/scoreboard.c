#include "daemon/scoreboard.h"

#include <errno.h>
#include <sys/mman.h>

int scoreboard_init(struct scoreboard *scoreboard, size_t count)
{
    /* Mapped lazily: of the buffers only the pages that lines have been in are ever resident. */
    void *memory = mmap(NULL, count * sizeof(struct scoreboard_slot), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    *scoreboard = (struct scoreboard){.slots = memory, .count = count};
    return 0;
}

void scoreboard_done(struct scoreboard *scoreboard)
{
    if (scoreboard->slots)
        (void)munmap(scoreboard->slots, scoreboard->count * sizeof(struct scoreboard_slot));
    *scoreboard = (struct scoreboard){0};
}
