#include "daemon/scoreboard/scoreboard.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the slot alone, in whole pages. */
static size_t own_size(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (sizeof(struct scoreboard_slot) + page - 1) / page * page;
}

int scoreboard_slot_new(size_t more, struct scoreboard_slot **ret_slot)
{
    size_t size = own_size() + more;
    /* Mapped lazily: only the pages that lines or job slots have been in are ever resident. */
    struct scoreboard_slot *slot =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (slot == MAP_FAILED)
        return -ENOMEM;
    slot->size = size;
    *ret_slot = slot;
    return 0;
}

void *scoreboard_slot_more(struct scoreboard_slot *slot)
{
    return (char *)slot + own_size();
}

struct scoreboard_slot *scoreboard_slot_free(struct scoreboard_slot *slot)
{
    if (slot)
        (void)munmap(slot, slot->size);
    return NULL;
}

void scoreboard_note_redis(struct scoreboard_slot *slot, const char *problem)
{
    unsigned news = atomic_load(&slot->redis_news);
    unsigned next = news + (news % 2 == (problem != NULL) ? 2 : 1);

    if (problem)
        (void)snprintf(slot->redis_problem, sizeof(slot->redis_problem), "%s", problem);
    atomic_store(&slot->redis_news, next);
}
