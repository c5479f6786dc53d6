#include "context/task/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "context/macros.h"

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
    LIST_ENTRY(slab) in_pool; /* in one of its lists */
    char *memory;
    size_t cut;               /* stacks that have been given out at least once */
    size_t out;               /* and have not come back */
    SLIST_HEAD(, stack) back; /* those that have, the last one first */
    size_t back_and_used;     /* whose memory has not been given back */
    struct stack stacks[SLAB_STACKS];
};

struct stack_pool {
    size_t guard;
    size_t stride;            /* guard and stack */
    LIST_HEAD(, slab) open;   /* with stacks to give out, the one that a stack came back to last first */
    LIST_HEAD(, slab) closed; /* with none */
    struct slab *spare;       /* an open one whose stacks are all back, so that a load around its edge maps nothing */
};

int stack_pool_new(size_t stack_size, struct stack_pool **ret_pool)
{
    struct stack_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pool->guard = ROUND_UP(GUARD_SIZE, page);
    pool->stride = ROUND_UP(stack_size, page) + pool->guard;
    *ret_pool = pool;
    return 0;
}

/* ---- Slabs ---- */

/* Gives whether it is gone: a process that has as many mappings as it may cannot take a hole out of one. */
static bool slab_free(const struct stack_pool *pool, struct slab *slab)
{
    if (munmap(slab->memory, pool->stride * SLAB_STACKS) < 0)
        return false;
    for (size_t i = 0; i < slab->cut; i++)
        VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind_id);
    LIST_REMOVE(slab, in_pool);
    free(slab);
    return true;
}

struct stack_pool *stack_pool_free(struct stack_pool *pool)
{
    while (pool && !LIST_EMPTY(&pool->open) && slab_free(pool, LIST_FIRST(&pool->open)))
        continue;
    while (pool && !LIST_EMPTY(&pool->closed) && slab_free(pool, LIST_FIRST(&pool->closed)))
        continue;
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
    LIST_INSERT_HEAD(&pool->open, slab, in_pool);
    return 0;
}

/* ---- Stacks ---- */

/* One that nobody has had yet. */
static struct stack *cut_stack(const struct stack_pool *pool, struct slab *slab)
{
    char *place = slab->memory + slab->cut * pool->stride;

    if (madvise(place, pool->guard, MADV_GUARD_INSTALL) < 0 && mprotect(place, pool->guard, PROT_NONE) < 0)
        return NULL;

    struct stack *stack = &slab->stacks[slab->cut++];
    stack->bottom = place + pool->guard;
    stack->size = pool->stride - pool->guard;
    stack->guard = pool->guard;
    stack->slab = slab;
    stack->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(stack->bottom, stack->bottom + stack->size);
    return stack;
}

int stack_pool_get(struct stack_pool *pool, struct stack **ret_stack)
{
    int r = LIST_EMPTY(&pool->open) ? slab_new(pool) : 0;

    if (r < 0)
        return r;

    struct slab *slab = LIST_FIRST(&pool->open);
    struct stack *stack = SLIST_FIRST(&slab->back);
    if (stack) {
        SLIST_REMOVE_HEAD(&slab->back, next);
        slab->back_and_used -= stack->used;
    } else {
        stack = cut_stack(pool, slab);
        if (!stack)
            return -EAGAIN;
    }
    stack->used = true;
    slab->out++;
    if (pool->spare == slab)
        pool->spare = NULL;
    if (SLIST_EMPTY(&slab->back) && slab->cut == SLAB_STACKS) {
        LIST_REMOVE(slab, in_pool);
        LIST_INSERT_HEAD(&pool->closed, slab, in_pool);
    }
    *ret_stack = stack;
    return 0;
}

void stack_pool_put(struct stack_pool *pool, struct stack *stack)
{
    struct slab *slab = stack->slab;

    assert(slab->out > 0);
    SLIST_INSERT_HEAD(&slab->back, stack, next);
    slab->back_and_used++;
    slab->out--;
    LIST_REMOVE(slab, in_pool);
    LIST_INSERT_HEAD(&pool->open, slab, in_pool);
    if (slab->out > 0)
        return;
    if (pool->spare)
        (void)slab_free(pool, pool->spare);
    pool->spare = slab;
}

void stack_pool_trim(struct stack_pool *pool)
{
    struct slab *slab;
    struct stack *stack;

    LIST_FOREACH (slab, &pool->open, in_pool) {
        SLIST_FOREACH (stack, &slab->back, next) {
            if (slab->back_and_used == 0)
                break;
            if (!stack->used)
                continue;
            (void)madvise(stack->bottom, stack->size, MADV_DONTNEED);
            stack->used = false;
            slab->back_and_used--;
        }
    }
}

bool stack_guards(const struct stack *stack, const void *address)
{
    uintptr_t bottom = (uintptr_t)stack->bottom, touched = (uintptr_t)address;

    return touched < bottom && touched >= bottom - stack->guard;
}
