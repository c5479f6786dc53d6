#include "daemon/worker/heap.h"

#include <malloc.h>
#include <unistd.h>

#include "daemon/process.h"

/* The heap is given back when so much of it seems to be free, and more than is in use, at so many looks in a row. */
enum { CALM_LOOKS = 3, FREE_MIN = 4 * 1024 * 1024 };

static size_t larger(size_t one, size_t other)
{
    return one > other ? one : other;
}

static size_t difference(size_t one, size_t other)
{
    return one > other ? one - other : 0;
}

/* What was freed after a peak lies between what is in use, and stays in the heap until it is asked for. How much that
 * is the allocator tells only by going through all of it, so it is guessed: from what is in use less than there was,
 * and from how much the process has grown. The first misses what nobody counts, such as replies of Redis and what
 * plugins allocate. The second misses what takes the place of stacks that have been given back. */
void heap_look(struct heap *heap, size_t in_use)
{
    size_t resident = process_private_bytes(getpid());

    heap->most = larger(heap->most, in_use);
    if (heap->least == 0 || resident < heap->least)
        heap->least = resident;

    size_t idle = difference(larger(heap->most, difference(resident, heap->least)), in_use);
    if (idle < FREE_MIN || idle < in_use) {
        heap->calm_looks = 0;
        return;
    }
    if (++heap->calm_looks < CALM_LOOKS)
        return;
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
    *heap = (struct heap){.most = in_use, .least = process_private_bytes(getpid())};
}
