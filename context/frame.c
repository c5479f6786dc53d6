#include "context/frame.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "context/current.h"

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

struct seed_entry {
    struct frame_entry entry;
    uint32_t name_size;
    uint32_t hash;
};

/* The values a job starts with. `table` is open-addressed by hash and holds indices into `entries`, plus one. */
struct frame_seed {
    atomic_uint references;
    uint32_t count;
    uint32_t mask;
    void *owner;
    void (*release)(void *owner);
    uint16_t *table;
    struct seed_entry entries[];
};

struct weft_context {
    atomic_uint references;
    uint16_t count;
    uint16_t capacity;
    uint32_t bytes; /* names and values that were set */
    struct frame_seed *seed;
    struct frame_value *values[];
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

static struct frame_value *value_ref(struct frame_value *value)
{
    atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    return value;
}

/* Whether the last reference was just given up, with everything that other threads did before visible. */
static bool drop_reference(atomic_uint *references)
{
    if (atomic_fetch_sub_explicit(references, 1, memory_order_release) != 1)
        return false;
    (void)atomic_load_explicit(references, memory_order_acquire);
    return true;
}

/* A release function is code of its own: it runs at the root, whatever context happened to let go last. */
static void call_release(void (*release)(void *pointer), void *pointer)
{
    struct current saved;

    current_enter(&saved, NULL);
    release(pointer);
    current_leave(&saved);
}

static void value_unref(struct frame_value *value)
{
    if (!drop_reference(&value->references))
        return;
    if (value->kind == FRAME_POINTER && value->release)
        call_release(value->release, value->pointer);
    free(value);
}

static bool value_has_name(const struct frame_value *value, const struct frame_key *key)
{
    return value->hash == key->hash && value->name_size == key->size && memcmp(value->text, key->name, key->size) == 0;
}

/* ---- Seeds ---- */

static const struct seed_entry *seed_find(const struct frame_seed *seed, const struct frame_key *key)
{
    for (uint32_t place = key->hash & seed->mask; seed->table[place]; place = (place + 1) & seed->mask) {
        const struct seed_entry *entry = &seed->entries[seed->table[place] - 1];

        if (entry->hash == key->hash && entry->name_size == key->size &&
            memcmp(entry->entry.name, key->name, key->size) == 0)
            return entry;
    }
    return NULL;
}

static void seed_add(struct frame_seed *seed, const struct frame_entry *entry)
{
    struct frame_key key = frame_key(entry->name);

    if (seed_find(seed, &key))
        return;

    uint32_t place = key.hash & seed->mask;
    while (seed->table[place])
        place = (place + 1) & seed->mask;
    seed->entries[seed->count] = (struct seed_entry){.entry = *entry, .name_size = key.size, .hash = key.hash};
    seed->count++;
    seed->table[place] = (uint16_t)seed->count;
}

static struct frame_seed *seed_new(const struct frame_entry *entries, size_t count)
{
    size_t places = 4;

    while (places < count * 2)
        places *= 2;

    size_t entries_size = count * sizeof(struct seed_entry);
    struct frame_seed *seed = malloc(sizeof(*seed) + entries_size + places * sizeof(uint16_t));
    if (!seed)
        return NULL;
    *seed = (struct frame_seed){.references = 1, .mask = (uint32_t)places - 1};
    seed->table = (uint16_t *)((char *)seed->entries + entries_size);
    memset(seed->table, 0, places * sizeof(uint16_t));
    for (size_t i = 0; i < count; i++)
        seed_add(seed, &entries[i]);
    return seed;
}

static struct frame_seed *seed_ref(struct frame_seed *seed)
{
    if (seed)
        atomic_fetch_add_explicit(&seed->references, 1, memory_order_relaxed);
    return seed;
}

static void seed_unref(struct frame_seed *seed)
{
    if (!seed || !drop_reference(&seed->references))
        return;
    if (seed->release)
        call_release(seed->release, seed->owner);
    free(seed);
}

/* ---- Frames ---- */

/* A frame with room for `capacity` values; takes the reference to `seed` over where it succeeds. */
static struct weft_context *frame_allocate(struct frame_seed *seed, size_t capacity)
{
    struct weft_context *frame = malloc(sizeof(*frame) + capacity * sizeof(struct frame_value *));

    if (!frame)
        return NULL;
    *frame = (struct weft_context){.references = 1, .capacity = (uint16_t)capacity, .seed = seed};
    atomic_fetch_add_explicit(&frames_alive, 1, memory_order_relaxed);
    return frame;
}

int frame_new(const struct frame_entry *entries, size_t count, void *owner, void (*release)(void *owner),
              struct weft_context **ret_frame)
{
    if (count >= UINT16_MAX / 2)
        return -E2BIG;

    struct frame_seed *seed = seed_new(entries, count);
    if (!seed)
        return -ENOMEM;

    struct weft_context *frame = frame_allocate(seed, FRAME_SPARE);
    if (!frame) {
        free(seed);
        return -ENOMEM;
    }
    seed->owner = owner;
    seed->release = release;
    *ret_frame = frame;
    return 0;
}

void *frame_owner(const struct weft_context *frame)
{
    return frame && frame->seed ? frame->seed->owner : NULL;
}

struct weft_context *weft_context_ref(struct weft_context *context)
{
    if (context)
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

struct weft_context *weft_context_unref(struct weft_context *context)
{
    if (!context || !drop_reference(&context->references))
        return NULL;
    for (size_t i = 0; i < context->count; i++)
        value_unref(context->values[i]);
    seed_unref(context->seed);
    free(context);
    atomic_fetch_sub_explicit(&frames_alive, 1, memory_order_relaxed);
    return NULL;
}

static struct frame_value *const *frame_find_set(const struct weft_context *frame, const struct frame_key *key)
{
    for (size_t i = 0; i < frame->count; i++)
        if (value_has_name(frame->values[i], key))
            return &frame->values[i];
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

    const struct seed_entry *entry = frame->seed ? seed_find(frame->seed, key) : NULL;
    if (!entry)
        return false;
    *ret_found = (struct frame_found){.text = entry->entry.value, .size = entry->entry.size};
    return true;
}

/* A copy with `room` free places, or NULL. */
static struct weft_context *frame_copy(const struct weft_context *frame, size_t room)
{
    size_t count = frame ? frame->count : 0;
    struct weft_context *copy = frame_allocate(frame ? seed_ref(frame->seed) : NULL, count + room);

    if (!copy) {
        if (frame)
            seed_unref(frame->seed);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        copy->values[i] = value_ref(frame->values[i]);
    copy->count = (uint16_t)count;
    copy->bytes = frame ? frame->bytes : 0;
    return copy;
}

/* Makes sure that `*frame` is the caller's alone and has a free place. */
static int frame_own(struct weft_context **frame)
{
    struct weft_context *old = *frame;

    if (old && old->count < old->capacity && atomic_load_explicit(&old->references, memory_order_acquire) == 1)
        return 0;

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

int frame_change(struct weft_context **frame, const struct frame_key *key, const struct frame_change *change)
{
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
    int r = 0;

    if (!frame)
        return 0;
    for (uint32_t i = 0; frame->seed && i < frame->seed->count && r == 0; i++) {
        const struct seed_entry *seeded = &frame->seed->entries[i];
        struct frame_key key = {.name = seeded->entry.name, .size = seeded->name_size, .hash = seeded->hash};

        if (!frame_find_set(frame, &key))
            r = visit(seeded->entry.name, seeded->entry.value, seeded->entry.size, arg);
    }
    for (size_t i = 0; i < frame->count && r == 0; i++) {
        const struct frame_value *value = frame->values[i];

        if (value->kind == FRAME_TEXT)
            r = visit(value->text, value->text + value->name_size + 1, value->size, arg);
    }
    return r;
}
