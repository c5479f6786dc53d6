#include "context/stack.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif

/* From Linux 6.13 on: a guard that does not split the mapping, so that its number does not count against
 * vm.max_map_count. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* One mapping serves so many stacks. */
enum { SLAB_STACKS = 16 };

/* More than a page, because a function with a large buffer may step over that without touching it, and into the stack
 * below. It costs addresses, not memory. */
enum { GUARD_SIZE = 64 * 1024 };

struct slab {
    struct slab *next;
    char *memory;
    size_t used;
    struct stack stacks[SLAB_STACKS];
};

struct stack_pool {
    size_t guard;
    size_t stride; /* guard and stack */
    struct stack *idle;
    struct slab *slabs; /* the first is the one with stacks not yet given out */
};

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

int stack_pool_new(size_t stack_size, struct stack_pool **ret_pool)
{
    struct stack_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pool->guard = round_up(GUARD_SIZE, page);
    pool->stride = round_up(stack_size, page) + pool->guard;
    *ret_pool = pool;
    return 0;
}

static void slab_free(struct stack_pool *pool, struct slab *slab)
{
    for (size_t i = 0; i < slab->used; i++)
        VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind_id);
    (void)munmap(slab->memory, pool->stride * SLAB_STACKS);
    free(slab);
}

struct stack_pool *stack_pool_free(struct stack_pool *pool)
{
    while (pool && pool->slabs) {
        struct slab *slab = pool->slabs;

        pool->slabs = slab->next;
        slab_free(pool, slab);
    }
    free(pool);
    return NULL;
}

static int slab_new(struct stack_pool *pool)
{
    struct slab *slab = calloc(1, sizeof(*slab));

    if (!slab)
        return -EAGAIN;
    slab->memory = mmap(NULL, pool->stride * SLAB_STACKS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (slab->memory == MAP_FAILED) {
        free(slab);
        return -EAGAIN;
    }
    /* A stack touches a page or two of its 256 KiB; a huge page would make all of them resident. */
    (void)madvise(slab->memory, pool->stride * SLAB_STACKS, MADV_NOHUGEPAGE);
    slab->next = pool->slabs;
    pool->slabs = slab;
    return 0;
}

static bool guard(void *pages, size_t size)
{
    return madvise(pages, size, MADV_GUARD_INSTALL) == 0 || mprotect(pages, size, PROT_NONE) == 0;
}

int stack_pool_get(struct stack_pool *pool, struct stack **ret_stack)
{
    if (pool->idle) {
        *ret_stack = pool->idle;
        pool->idle = pool->idle->next;
        return 0;
    }
    if (!pool->slabs || pool->slabs->used == SLAB_STACKS) {
        int r = slab_new(pool);
        if (r < 0)
            return r;
    }

    struct slab *slab = pool->slabs;
    char *place = slab->memory + slab->used * pool->stride;
    if (!guard(place, pool->guard))
        return -EAGAIN;

    struct stack *stack = &slab->stacks[slab->used++];
    stack->bottom = place + pool->guard;
    stack->size = pool->stride - pool->guard;
    stack->guard = pool->guard;
    stack->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(stack->bottom, stack->bottom + stack->size);
    *ret_stack = stack;
    return 0;
}

void stack_pool_put(struct stack_pool *pool, struct stack *stack)
{
    stack->next = pool->idle;
    pool->idle = stack;
}

bool stack_guards(const struct stack *stack, const void *address)
{
    uintptr_t bottom = (uintptr_t)stack->bottom, touched = (uintptr_t)address;

    return touched < bottom && touched >= bottom - stack->guard;
}
