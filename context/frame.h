/*
 * Frames: the immutable, reference-counted contents of a context.
 *
 * A frame is a seed (the values that a job starts with, one block shared by all frames of the job) and a short list of
 * values that were set since. A copy therefore costs one increment a value set since, however much metadata the job
 * came with.
 *
 * Frames may be referenced and released from any thread. Nothing here waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/context.h>

#include "context/reference.h"

struct frame_value;
struct seed;

/* Known here so that capturing a context, and seeing whose it is, costs no call. */
struct weft_context {
    uint64_t serial; /* of what it holds: no other frame of the process has it, nor has this one after a change */
    atomic_uint references;
    uint16_t count;
    uint16_t capacity;
    uint32_t bytes; /* names and values that were set */
    void *owner;    /* the seed's */
    struct seed *seed;
    struct frame_value *values[];
};

/* As weft_context_ref() and weft_context_unref(). */
static inline struct weft_context *frame_ref(struct weft_context *frame)
{
    if (frame)
        reference_take(&frame->references);
    return frame;
}

void frame_free(struct weft_context *frame); /* when the last reference has been dropped */

static inline void frame_unref(struct weft_context *frame)
{
    if (frame && reference_drop(&frame->references))
        frame_free(frame);
}

/* One value of a seed. Both strings are borrowed from the seed's owner and NUL-terminated. */
struct frame_entry {
    const char *name;
    const char *value;
    size_t size;
};

/* Makes a frame from `count` entries (the first of a name counts), for a flow of work that `owner` stands for. The
 * entries are copied, the strings they point to are not: they must live as long as the owner does. `release(owner)` is
 * called once, when the last frame derived from this one is gone. frame_owner() finds the owner. Errors: -E2BIG more
 * entries than a seed can count, -ENOMEM; `release` is not called then. */
int frame_new(const struct frame_entry *entries, size_t count, void *owner, void (*release)(void *owner),
              struct weft_context **ret_frame) WEFT_MUST_CHECK;

/* The owner of the frame's seed, or NULL. */
static inline void *frame_owner(const struct weft_context *frame)
{
    return frame ? frame->owner : NULL;
}

/* The seed that the frame shares with all others of its flow of work: see seed_count_frames(). */
const struct seed *frame_seed(const struct weft_context *frame);

/* What a name is looked up by. */
struct frame_key {
    const char *name;
    uint32_t size;
    uint32_t hash;
};

struct frame_key frame_key(const char *name);

/* A value, as found. */
struct frame_found {
    const char *text; /* NULL for a pointer */
    size_t size;
    void *pointer;
};

/* Whether the frame (NULL: the root) has such a value. */
bool frame_find(const struct weft_context *frame, const struct frame_key *key, struct frame_found *ret_found);

/* A value to be put into a frame. */
enum frame_kind { FRAME_TEXT, FRAME_POINTER, FRAME_ABSENT };

struct frame_change {
    enum frame_kind kind;
    const void *data; /* FRAME_TEXT: copied */
    size_t size;
    void *pointer;
    void (*release)(void *pointer);
};

/* Replaces `*frame`, a reference of the caller's (NULL: the root), by one with the change. Where nobody else holds the
 * frame it is changed in place, which nobody can tell. Errors: -E2BIG, -ENOMEM; then nothing has changed. */
int frame_change(struct weft_context **frame, const struct frame_key *key,
                 const struct frame_change *change) WEFT_MUST_CHECK;

/* As weft_each(), for any frame. */
int frame_each(const struct weft_context *frame,
               int (*visit)(const char *name, const char *value, size_t size, void *arg), void *arg);
