/*
 * Stacks for fibers: mapped lazily, each with a guard below it, and cut from slabs, which are unmapped when all of
 * their stacks have come back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include <weft/api.h>

struct stack {
    char *bottom; /* lowest usable address; below it is the guard */
    size_t size;
    size_t guard; /* of the guard in bytes */
    unsigned valgrind_id;
    bool used; /* since its memory was last given back */
    struct slab *slab;
    SLIST_ENTRY(stack) next; /* of those that are back */
};

struct stack_pool;

/* `stack_size` is rounded up to whole pages. Errors: -ENOMEM. */
int stack_pool_new(size_t stack_size, struct stack_pool **ret_pool) WEFT_MUST_CHECK;

/* Unmaps everything; every stack must be back. Takes NULL, gives NULL. */
struct stack_pool *stack_pool_free(struct stack_pool *pool);

/* One of the slab that a stack came back to last, or a new one. Errors: -EAGAIN when the kernel gives no more memory or
 * mappings; a stack whose guard cannot be made is not given out. */
int stack_pool_get(struct stack_pool *pool, struct stack **ret_stack) WEFT_MUST_CHECK;

/* Takes a stack back. A slab whose stacks are all back is unmapped, but for the one that this has happened to last. */
void stack_pool_put(struct stack_pool *pool, struct stack *stack);

/* Gives the memory of the stacks that are back to the kernel. */
void stack_pool_trim(struct stack_pool *pool);

/* Whether the address is in the stack's guard: whoever touched it has used the stack up. May be called by a signal
 * handler. */
bool stack_guards(const struct stack *stack, const void *address);
