#include "handlers/memory.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What small pieces are cut from; larger ones get a chunk of their own size. */
enum { CHUNK_SIZE = 2048 };

struct memory_chunk {
    SLIST_ENTRY(memory_chunk) next;
    size_t size;
    alignas(max_align_t) char bytes[];
};

void memory_done(struct memory *memory)
{
    while (!SLIST_EMPTY(&memory->chunks)) {
        struct memory_chunk *chunk = SLIST_FIRST(&memory->chunks);

        SLIST_REMOVE_HEAD(&memory->chunks, next);
        free(chunk);
    }
    memory->left = 0;
}

void *memory_get(struct memory *memory, size_t size)
{
    if (size > PTRDIFF_MAX / 2)
        return NULL;

    size_t needed = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (memory->left < needed || SLIST_EMPTY(&memory->chunks)) {
        size_t chunk_size = needed > CHUNK_SIZE ? needed : CHUNK_SIZE;
        struct memory_chunk *chunk = malloc(sizeof(*chunk) + chunk_size);

        if (!chunk)
            return NULL;
        chunk->size = chunk_size;
        SLIST_INSERT_HEAD(&memory->chunks, chunk, next);
        memory->left = chunk_size;
    }

    struct memory_chunk *first = SLIST_FIRST(&memory->chunks);
    assert(needed <= memory->left && memory->left <= first->size);
    char *piece = first->bytes + first->size - memory->left;
    memory->left -= needed;
    return memset(piece, 0, size);
}

char *memory_vprintf(struct memory *memory, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0)
        return NULL;

    char *text = memory_get(memory, (size_t)size + 1);
    if (text)
        (void)vsnprintf(text, (size_t)size + 1, format, args);
    return text;
}
