/*
 * Log lines on their way out, in memory that outlives the process: what a worker has logged before it died is written
 * by the supervisor. There is a buffer for each output, of as many bytes as `log.buffer` says.
 *
 * A buffer is a ring in which a line never goes round the end, so that it can be made and written in one piece. What is
 * in shared memory is not believed: a plugin may have written over it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/scoreboard/log_drops.h"

/* Log outputs at the most. */
#define LOG_BUFFERS_MAX 4

/* What processes share of a buffer. Positions count from when it was last empty; the byte at a position is at that
 * modulo the size. */
struct log_ring {
    atomic_size_t begin; /* of what is not written yet */
    atomic_size_t end;
    atomic_size_t wrap; /* within these: where the bytes of this round end, if before the end of the memory */
};

/* One of them as a process sees it. */
struct log_buffer {
    struct log_ring *ring;
    char *bytes;
    size_t size;
};

/* All of a process's. */
struct log_buffers {
    struct log_buffer buffers[LOG_BUFFERS_MAX];
    size_t count;
    uint32_t id;             /* which no others of this weftd have, or 0 */
    struct log_drops *drops; /* lines that had no room in them */
    void *memory;
    size_t memory_size;
};

/* Maps `count` empty buffers of `size` bytes each, which children that are forked from then on share; pages that
 * nothing has been in take up no memory. Errors: -ENOMEM. */
int log_buffers_new(size_t count, size_t size, uint32_t id, struct log_buffers **ret_buffers) MUST_CHECK;

/* Unmaps them, in this process. Takes NULL, gives NULL. */
struct log_buffers *log_buffers_free(struct log_buffers *buffers);

/* Where the next line may be made, and for how many bytes there is room there. With `next_round` it is the beginning of
 * the memory, after what is left of this round; without, it goes on where the last line ended. */
char *log_buffer_place(const struct log_buffer *buffer, bool next_round, size_t *ret_room);

/* Makes a line of `size` bytes, which is whole, part of what is to be written. It was made in the place that was asked
 * for last. */
void log_buffer_publish(const struct log_buffer *buffer, bool next_round, size_t size);

/* The first bytes that are to be written and lie together; `*ret_size` is 0 when there are none. */
const char *log_buffer_peek(const struct log_buffer *buffer, size_t *ret_size);

/* Takes so many bytes out, all of which log_buffer_peek() has shown. */
void log_buffer_take(const struct log_buffer *buffer, size_t size);

/* How much it holds; bytes. */
size_t log_buffer_used(const struct log_buffer *buffer);

bool log_buffer_is_empty(const struct log_buffer *buffer);

/* Empties it; gives how many lines were in it. */
size_t log_buffer_discard(const struct log_buffer *buffer);
