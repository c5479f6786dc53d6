#include "queue/redis/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_SIZE ((size_t)(256 * 1024))

struct arena_block {
    struct arena_block *next;
    size_t size; /* of what follows */
    alignas(max_align_t) char bytes[];
};

static void start_block(struct arena *arena, struct arena_block *block)
{
    arena->cursor = block->bytes;
    arena->end = block->bytes + block->size;
}

static void *alloc_in_new_block(struct arena *arena, size_t size)
{
    size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct arena_block *block;

    if (block_size > SIZE_MAX - sizeof(*block))
        return NULL;
    block = malloc(sizeof(*block) + block_size);
    if (!block)
        return NULL;
    block->size = block_size;
    block->next = arena->blocks;
    arena->blocks = block;
    start_block(arena, block);
    arena->cursor += size;
    return block->bytes;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t mask = alignof(max_align_t) - 1;

    if (size > SIZE_MAX - mask)
        return NULL;
    size = (size + mask) & ~mask;
    if (size > (size_t)(arena->end - arena->cursor))
        return alloc_in_new_block(arena, size);
    void *result = arena->cursor;
    arena->cursor += size;
    return result;
}

/* One block of the usual size stays, so that a steady flow of replies allocates nothing. */
void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    struct arena_block *kept = NULL;

    while (block) {
        struct arena_block *next = block->next;

        if (!kept && block->size == BLOCK_SIZE)
            kept = block;
        else
            free(block);
        block = next;
    }
    *arena = (struct arena){.blocks = kept};
    if (kept) {
        kept->next = NULL;
        start_block(arena, kept);
    }
}

void arena_done(struct arena *arena)
{
    arena_reset(arena);
    free(arena->blocks);
    *arena = (struct arena){0};
}
