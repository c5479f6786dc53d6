#include "context/task/stack.h"

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
    struct slab *previous, *next; /* in one of its pool's lists */
    char *memory;
    size_t cut;           /* stacks that have been given out at least once */
    size_t out;           /* and have not come back */
    struct stack *back;   /* those that have, the last one first */
    size_t back_and_used; /* whose memory has not been given back */
    struct stack stacks[SLAB_STACKS];
};

struct stack_pool {
    size_t guard;
    size_t stride;       /* guard and stack */
    struct slab *open;   /* with stacks to give out, the one that a stack came back to last first */
    struct slab *closed; /* with none */
    struct slab *spare;  /* an open one whose stacks are all back, so that a load around its edge maps nothing */
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

/* ---- Slabs ---- */

static void link_slab(struct slab **list, struct slab *slab)
{
    slab->previous = NULL;
    slab->next = *list;
    if (slab->next)
        slab->next->previous = slab;
    *list = slab;
}

static void unlink_slab(struct slab **list, struct slab *slab)
{
    if (slab->next)
        slab->next->previous = slab->previous;
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        *list = slab->next;
}

/* Gives whether it is gone: a process that has as many mappings as it may cannot take a hole out of one. */
static bool slab_free(struct stack_pool *pool, struct slab **list, struct slab *slab)
{
    if (munmap(slab->memory, pool->stride * SLAB_STACKS) < 0)
        return false;
    for (size_t i = 0; i < slab->cut; i++)
        VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind_id);
    unlink_slab(list, slab);
    free(slab);
    return true;
}

struct stack_pool *stack_pool_free(struct stack_pool *pool)
{
    while (pool && pool->open && slab_free(pool, &pool->open, pool->open))
        continue;
    while (pool && pool->closed && slab_free(pool, &pool->closed, pool->closed))
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
    link_slab(&pool->open, slab);
    return 0;
}

/* ---- Stacks ---- */

static bool guard(void *pages, size_t size)
{
    return madvise(pages, size, MADV_GUARD_INSTALL) == 0 || mprotect(pages, size, PROT_NONE) == 0;
}

/* One that nobody has had yet. */
static struct stack *cut_stack(const struct stack_pool *pool, struct slab *slab)
{
    char *place = slab->memory + slab->cut * pool->stride;

    if (!guard(place, pool->guard))
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
    int r = pool->open ? 0 : slab_new(pool);

    if (r < 0)
        return r;

    struct slab *slab = pool->open;
    struct stack *stack = slab->back;
    if (stack) {
        slab->back = stack->next;
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
    if (!slab->back && slab->cut == SLAB_STACKS) {
        unlink_slab(&pool->open, slab);
        link_slab(&pool->closed, slab);
    }
    *ret_stack = stack;
    return 0;
}

void stack_pool_put(struct stack_pool *pool, struct stack *stack)
{
    struct slab *slab = stack->slab;
    bool was_closed = !slab->back && slab->cut == SLAB_STACKS;

    stack->next = slab->back;
    slab->back = stack;
    slab->back_and_used++;
    slab->out--;
    unlink_slab(was_closed ? &pool->closed : &pool->open, slab);
    link_slab(&pool->open, slab);
    if (slab->out > 0)
        return;
    if (pool->spare)
        (void)slab_free(pool, &pool->open, pool->spare);
    pool->spare = slab;
}

void stack_pool_trim(struct stack_pool *pool)
{
    for (struct slab *slab = pool->open; slab; slab = slab->next) {
        for (struct stack *stack = slab->back; stack && slab->back_and_used > 0; stack = stack->next) {
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
