#include "context/frame.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "context/current.h"
#include "context/reference.h"
#include "context/seed.h"

/* A value that was set: `text` holds its name, a NUL, its bytes, a NUL. */
struct frame_value {
    atomic_uint references;
    uint32_t hash;
    uint32_t name_size;
    enum frame_kind kind;
    size_t size;
    void *pointer;
    void (*release)(void *pointer);
    char text[];
};

/* Spare places in a copy, so that a few sets in a row do not copy each time. */
enum { FRAME_SPARE = 3 };

static atomic_long frames_alive;

long weft_contexts_alive(void)
{
    return atomic_load_explicit(&frames_alive, memory_order_relaxed);
}

/* ---- Names ---- */

/* Mixes the first and the last bytes and the size: names are short, and a full hash would cost more than the comparison
 * it saves. */
static uint32_t hash_name(const char *name, size_t size)
{
    uint64_t first = 0, last = 0;

    if (size >= 8) {
        memcpy(&first, name, 8);
        memcpy(&last, name + size - 8, 8);
    } else if (size >= 4) {
        memcpy(&first, name, 4);
        memcpy(&last, name + size - 4, 4);
    } else if (size > 0) {
        first = (uint64_t)(unsigned char)name[0] | (uint64_t)(unsigned char)name[size / 2] << 8;
        last = (unsigned char)name[size - 1];
    }
    uint64_t mixed = (first ^ (last << 29 | last >> 35) ^ size) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32);
}

struct frame_key frame_key(const char *name)
{
    size_t size = strlen(name);

    return (struct frame_key){.name = name, .size = (uint32_t)size, .hash = hash_name(name, size)};
}

/* ---- Values ---- */

static struct frame_value *value_new(const struct frame_key *key, const struct frame_change *change)
{
    size_t size = change->kind == FRAME_TEXT ? change->size : 0;
    struct frame_value *value = malloc(sizeof(*value) + key->size + size + 2);

    if (!value)
        return NULL;
    *value = (struct frame_value){
        .references = 1,
        .hash = key->hash,
        .name_size = key->size,
        .kind = change->kind,
        .size = size,
        .pointer = change->pointer,
        .release = change->release,
    };
    memcpy(value->text, key->name, key->size + 1);
    if (size > 0)
        memcpy(value->text + key->size + 1, change->data, size);
    value->text[key->size + 1 + size] = '\0';
    return value;
}

static void value_unref(struct frame_value *value)
{
    if (!reference_drop(&value->references))
        return;
    if (value->kind == FRAME_POINTER && value->release)
        current_release(value->release, value->pointer);
    free(value);
}

/* ---- Frames ---- */

/* Each thread has a range of its own, so that counting needs no other. */
static uint64_t next_serial(void)
{
    static atomic_uint_fast64_t last_range;
    static _Thread_local uint64_t last_serial;

    if (__builtin_expect(last_serial == 0, 0))
        last_serial = (atomic_fetch_add_explicit(&last_range, 1, memory_order_relaxed)) << 40;
    return ++last_serial;
}

/* A frame with room for `capacity` values; takes the reference to `seed` over where it succeeds. */
static struct weft_context *frame_allocate(struct seed *seed, size_t capacity)
{
    struct weft_context *frame = malloc(sizeof(*frame) + capacity * sizeof(struct frame_value *));

    if (!frame)
        return NULL;
    *frame =
        (struct weft_context){.serial = next_serial(), .references = 1, .capacity = (uint16_t)capacity, .seed = seed};
    atomic_fetch_add_explicit(&frames_alive, 1, memory_order_relaxed);
    return frame;
}

int frame_new(const struct frame_entry *entries, size_t count, void *owner, void (*release)(void *owner),
              struct weft_context **ret_frame)
{
    struct seed *seed;
    int r = seed_new(entries, count, &seed);

    if (r < 0)
        return r;
    struct weft_context *frame = frame_allocate(seed, FRAME_SPARE);
    if (!frame) {
        (void)seed_unref(seed);
        return -ENOMEM;
    }
    seed_own(seed, owner, release);
    frame->owner = owner;
    *ret_frame = frame;
    return 0;
}

const struct seed *frame_seed(const struct weft_context *frame)
{
    return frame->seed;
}

struct weft_context *weft_context_ref(struct weft_context *context)
{
    return frame_ref(context);
}

struct weft_context *weft_context_unref(struct weft_context *context)
{
    frame_unref(context);
    return NULL;
}

void frame_free(struct weft_context *frame)
{
    for (size_t i = 0; i < frame->count; i++)
        value_unref(frame->values[i]);
    (void)seed_unref(frame->seed);
    free(frame);
    atomic_fetch_sub_explicit(&frames_alive, 1, memory_order_relaxed);
}

static struct frame_value *const *frame_find_set(const struct weft_context *frame, const struct frame_key *key)
{
    for (size_t i = 0; i < frame->count; i++) {
        const struct frame_value *value = frame->values[i];

        if (value->hash == key->hash && value->name_size == key->size && memcmp(value->text, key->name, key->size) == 0)
            return &frame->values[i];
    }
    return NULL;
}

bool frame_find(const struct weft_context *frame, const struct frame_key *key, struct frame_found *ret_found)
{
    if (!frame)
        return false;

    struct frame_value *const *place = frame_find_set(frame, key);
    if (place) {
        const struct frame_value *value = *place;

        if (value->kind == FRAME_ABSENT)
            return false;
        *ret_found = (struct frame_found){
            .text = value->kind == FRAME_TEXT ? value->text + value->name_size + 1 : NULL,
            .size = value->size,
            .pointer = value->pointer,
        };
        return true;
    }

    const struct frame_entry *entry = seed_find(frame->seed, key);
    if (!entry)
        return false;
    *ret_found = (struct frame_found){.text = entry->value, .size = entry->size};
    return true;
}

/* A copy with `room` free places, or NULL. */
static struct weft_context *frame_copy(const struct weft_context *frame, size_t room)
{
    size_t count = frame ? frame->count : 0;
    struct weft_context *copy = frame_allocate(frame ? seed_ref(frame->seed) : NULL, count + room);

    if (!copy) {
        if (frame)
            (void)seed_unref(frame->seed);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        reference_take(&frame->values[i]->references);
        copy->values[i] = frame->values[i];
    }
    copy->count = (uint16_t)count;
    copy->owner = frame_owner(frame);
    copy->bytes = frame ? frame->bytes : 0;
    return copy;
}

/* Makes sure that `*frame` is the caller's alone and has a free place. */
static int frame_own(struct weft_context **frame)
{
    struct weft_context *old = *frame;

    if (old && old->count < old->capacity && reference_is_only(&old->references)) {
        old->serial = next_serial();
        return 0;
    }

    struct weft_context *copy = frame_copy(old, 1 + FRAME_SPARE);
    if (!copy)
        return -ENOMEM;
    (void)weft_context_unref(old);
    *frame = copy;
    return 0;
}

static size_t value_bytes(const struct frame_value *value)
{
    return (size_t)value->name_size + value->size;
}

/* Hides a name that no seed has: the frame is then as if it had never been set, and does not fill up with such names.
 */
static int frame_forget(struct weft_context **frame, const struct frame_key *key)
{
    if (!*frame || !frame_find_set(*frame, key))
        return 0;
    int r = frame_own(frame);
    if (r < 0)
        return r;

    struct weft_context *own = *frame;
    struct frame_value **place = (struct frame_value **)frame_find_set(own, key);
    struct frame_value *old = *place;
    *place = own->values[--own->count];
    own->bytes -= (uint32_t)value_bytes(old);
    value_unref(old);
    return 0;
}

int frame_change(struct weft_context **frame, const struct frame_key *key, const struct frame_change *change)
{
    if (change->kind == FRAME_ABSENT && !(*frame && seed_find((*frame)->seed, key)))
        return frame_forget(frame, key);

    struct frame_value *const *replaced = *frame ? frame_find_set(*frame, key) : NULL;
    size_t added = key->size + (change->kind == FRAME_TEXT ? change->size : 0);
    size_t bytes = (*frame ? (*frame)->bytes : 0) + added - (replaced ? value_bytes(*replaced) : 0);

    if (change->size > WEFT_CONTEXT_BYTES_MAX || bytes > WEFT_CONTEXT_BYTES_MAX ||
        (!replaced && *frame && (*frame)->count >= WEFT_CONTEXT_VALUES_MAX))
        return -E2BIG;

    struct frame_value *value = value_new(key, change);
    if (!value)
        return -ENOMEM;
    int r = frame_own(frame);
    if (r < 0) {
        value->kind = FRAME_ABSENT; /* so that the pointer stays the caller's */
        value_unref(value);
        return r;
    }

    struct frame_value **place = (struct frame_value **)frame_find_set(*frame, key);
    struct frame_value *old = place ? *place : NULL;
    if (place)
        *place = value;
    else
        (*frame)->values[(*frame)->count++] = value;
    (*frame)->bytes = (uint32_t)bytes;
    if (old)
        value_unref(old);
    return 0;
}

int frame_each(const struct weft_context *frame,
               int (*visit)(const char *name, const char *value, size_t size, void *arg), void *arg)
{
    const struct frame_entry *seeded;
    struct frame_key key;
    int r = 0;

    if (!frame)
        return 0;
    for (size_t i = 0; r == 0 && (seeded = seed_at(frame->seed, i, &key)); i++)
        if (!frame_find_set(frame, &key))
            r = visit(seeded->name, seeded->value, seeded->size, arg);
    for (size_t i = 0; i < frame->count && r == 0; i++) {
        const struct frame_value *value = frame->values[i];

        if (value->kind == FRAME_TEXT)
            r = visit(value->text, value->text + value->name_size + 1, value->size, arg);
    }
    return r;
}
