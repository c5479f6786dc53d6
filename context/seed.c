#include "context/seed.h"

#include <stdlib.h>
#include <string.h>

#include "context/current.h"
#include "context/reference.h"

struct seed_entry {
    struct frame_entry entry;
    uint32_t name_size;
    uint32_t hash;
};

/* `table` is open-addressed by hash and holds indices into `entries`, plus one. */
struct seed {
    atomic_uint references;
    uint32_t count;
    uint32_t mask;
    void *owner;
    void (*release)(void *owner);
    uint16_t *table;
    struct seed_entry entries[];
};

const struct frame_entry *seed_find(const struct seed *seed, const struct frame_key *key)
{
    if (!seed)
        return NULL;
    for (uint32_t place = key->hash & seed->mask; seed->table[place]; place = (place + 1) & seed->mask) {
        const struct seed_entry *found = &seed->entries[seed->table[place] - 1];

        if (found->hash == key->hash && found->name_size == key->size &&
            memcmp(found->entry.name, key->name, key->size) == 0)
            return &found->entry;
    }
    return NULL;
}

const struct frame_entry *seed_at(const struct seed *seed, size_t place, struct frame_key *ret_key)
{
    if (!seed || place >= seed->count)
        return NULL;

    const struct seed_entry *found = &seed->entries[place];
    *ret_key = (struct frame_key){.name = found->entry.name, .size = found->name_size, .hash = found->hash};
    return &found->entry;
}

int seed_new(const struct frame_entry *entries, size_t count, struct seed **ret_seed)
{
    size_t places = 4;

    if (count >= UINT16_MAX / 2)
        return -E2BIG;
    while (places < count * 2)
        places *= 2;

    size_t entries_size = count * sizeof(struct seed_entry);
    struct seed *seed = malloc(sizeof(*seed) + entries_size + places * sizeof(uint16_t));
    if (!seed)
        return -ENOMEM;
    *seed = (struct seed){.references = 1, .mask = (uint32_t)places - 1};
    seed->table = (uint16_t *)((char *)seed->entries + entries_size);
    memset(seed->table, 0, places * sizeof(uint16_t));
    for (size_t i = 0; i < count; i++) {
        struct frame_key key = frame_key(entries[i].name);

        if (seed_find(seed, &key))
            continue;
        uint32_t place = key.hash & seed->mask;
        while (seed->table[place])
            place = (place + 1) & seed->mask;
        seed->entries[seed->count] = (struct seed_entry){.entry = entries[i], .name_size = key.size, .hash = key.hash};
        seed->count++;
        seed->table[place] = (uint16_t)seed->count;
    }
    *ret_seed = seed;
    return 0;
}

void seed_own(struct seed *seed, void *owner, void (*release)(void *owner))
{
    seed->owner = owner;
    seed->release = release;
}

unsigned seed_count_frames(const struct seed *seed)
{
    return atomic_load_explicit(&seed->references, memory_order_relaxed);
}

struct seed *seed_ref(struct seed *seed)
{
    if (seed)
        reference_take(&seed->references);
    return seed;
}

struct seed *seed_unref(struct seed *seed)
{
    if (!seed || !reference_drop(&seed->references))
        return NULL;
    if (seed->release)
        current_release(seed->release, seed->owner);
    free(seed);
    return NULL;
}
