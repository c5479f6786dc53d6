#include "daemon/scoreboard/log_buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What is used all the time stays resident; a buffer that had to hold more gives the rest back when it is empty. */
#define RESIDENT_SIZE ((size_t)1024 * 1024)

static size_t in_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

/* What is before the bytes. */
struct head {
    struct log_ring rings[LOG_BUFFERS_MAX];
    struct log_drops drops;
};

int log_buffers_new(size_t count, size_t size, uint32_t id, struct log_buffers **ret_buffers)
{
    struct log_buffers *buffers = calloc(1, sizeof(*buffers));
    size_t head = in_pages(sizeof(struct head));

    assert(count <= LOG_BUFFERS_MAX);
    if (!buffers)
        return -ENOMEM;
    size = in_pages(size);
    buffers->count = count;
    buffers->id = id;
    buffers->memory_size = head + count * size;
    buffers->memory =
        mmap(NULL, buffers->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buffers->memory == MAP_FAILED) {
        free(buffers);
        return -ENOMEM;
    }
    buffers->drops = &((struct head *)buffers->memory)->drops;
    for (size_t i = 0; i < count; i++) {
        buffers->buffers[i] = (struct log_buffer){
            .ring = &((struct head *)buffers->memory)->rings[i],
            .bytes = (char *)buffers->memory + head + i * size,
            .size = size,
        };
        atomic_init(&buffers->buffers[i].ring->wrap, SIZE_MAX);
    }
    *ret_buffers = buffers;
    return 0;
}

struct log_buffers *log_buffers_free(struct log_buffers *buffers)
{
    if (buffers)
        (void)munmap(buffers->memory, buffers->memory_size);
    free(buffers);
    return NULL;
}

/* ---- Filling ---- */

struct span {
    size_t begin, end;
};

/* Positions that make no sense were written by somebody else: then there is nothing. */
static struct span look(const struct log_buffer *buffer)
{
    struct span span = {.begin = atomic_load_explicit(&buffer->ring->begin, memory_order_acquire),
                        .end = atomic_load_explicit(&buffer->ring->end, memory_order_acquire)};

    if (span.begin > span.end || span.end - span.begin > buffer->size)
        return (struct span){0};
    return span;
}

static size_t round_end(const struct log_buffer *buffer, size_t position)
{
    return position - position % buffer->size + buffer->size;
}

char *log_buffer_place(const struct log_buffer *buffer, bool next_round, size_t *ret_room)
{
    struct span span = look(buffer);
    size_t limit = span.begin + buffer->size;
    size_t start = next_round ? round_end(buffer, span.end) : span.end;
    size_t until = round_end(buffer, start);

    *ret_room = start >= limit ? 0 : (until < limit ? until : limit) - start;
    return buffer->bytes + start % buffer->size;
}

void log_buffer_publish(const struct log_buffer *buffer, bool next_round, size_t size)
{
    size_t end = look(buffer).end;
    size_t start = next_round ? round_end(buffer, end) : end;

    if (next_round)
        atomic_store_explicit(&buffer->ring->wrap, end, memory_order_relaxed);
    else if (atomic_load_explicit(&buffer->ring->wrap, memory_order_relaxed) == end)
        atomic_store_explicit(&buffer->ring->wrap, SIZE_MAX, memory_order_relaxed);
    /* Only now, so that nobody finds half a line. */
    atomic_store_explicit(&buffer->ring->end, start + size, memory_order_release);
}

/* ---- Emptying ---- */

const char *log_buffer_peek(const struct log_buffer *buffer, size_t *ret_size)
{
    struct span span = look(buffer);
    size_t wrap = atomic_load_explicit(&buffer->ring->wrap, memory_order_relaxed);

    if (wrap == span.begin && span.begin < span.end) {
        span.begin = round_end(buffer, span.begin);
        if (span.begin > span.end)
            span.begin = span.end;
        atomic_store_explicit(&buffer->ring->begin, span.begin, memory_order_relaxed);
    }
    size_t until = round_end(buffer, span.begin);

    if (wrap > span.begin && wrap < until)
        until = wrap;
    *ret_size = (span.end < until ? span.end : until) - span.begin;
    return buffer->bytes + span.begin % buffer->size;
}

static void reset(const struct log_buffer *buffer, size_t end)
{
    if (end > 2 * RESIDENT_SIZE && buffer->size > RESIDENT_SIZE)
        (void)madvise(buffer->bytes + RESIDENT_SIZE, buffer->size - RESIDENT_SIZE, MADV_REMOVE);
    atomic_store(&buffer->ring->wrap, SIZE_MAX);
    /* The end goes first: a process that dies between the two leaves an empty buffer, not old lines. */
    atomic_store(&buffer->ring->end, 0);
    atomic_store(&buffer->ring->begin, 0);
}

void log_buffer_take(const struct log_buffer *buffer, size_t size)
{
    struct span span = look(buffer);

    if (span.begin + size < span.end)
        atomic_store(&buffer->ring->begin, span.begin + size);
    else
        reset(buffer, span.end);
}

size_t log_buffer_used(const struct log_buffer *buffer)
{
    struct span span = look(buffer);

    return span.end - span.begin;
}

bool log_buffer_is_empty(const struct log_buffer *buffer)
{
    return log_buffer_used(buffer) == 0;
}

size_t log_buffer_discard(const struct log_buffer *buffer)
{
    size_t lines = 0, size;

    for (const char *bytes = log_buffer_peek(buffer, &size); size > 0; bytes = log_buffer_peek(buffer, &size)) {
        for (const char *at = bytes; (at = memchr(at, '\n', size - (size_t)(at - bytes))); at++)
            lines++;
        log_buffer_take(buffer, size);
    }
    return lines;
}
