#include "queue/entry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define CAPACITY_MIN 256
#define BYTES_MAX    ((1U << 29) - 1)

int entry_id_parse(const char *text, struct entry_id *ret_id)
{
    struct entry_id id;
    char *end;

    id.ms = strtoull(text, &end, 10);
    if (end == text || *end != '-')
        return -EINVAL;
    text = end + 1;
    id.sequence = strtoull(text, &end, 10);
    if (end == text || *end != '\0')
        return -EINVAL;
    *ret_id = id;
    return 0;
}

static size_t home_of(const struct entry_set *set, uint32_t queue, struct entry_id id)
{
    uint64_t hash = (id.ms ^ (id.sequence << 32) ^ queue) * UINT64_C(0x9e3779b97f4a7c15);

    hash ^= hash >> 29;
    hash = (hash + id.sequence) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(hash >> 32) & (set->capacity - 1);
}

/* The slot that holds the entry, or the empty one where it belongs. */
static size_t find_slot(const struct entry_set *set, uint32_t queue, struct entry_id id)
{
    size_t slot = home_of(set, queue, id);

    assert(set->count < set->capacity); /* or this would not end */
    for (;; slot = (slot + 1) & (set->capacity - 1)) {
        const struct entry_slot *found = &set->slots[slot];

        if (found->queue == 0 || (found->queue == queue && found->id.ms == id.ms && found->id.sequence == id.sequence))
            return slot;
    }
}

static int resize(struct entry_set *set, size_t capacity)
{
    struct entry_set resized = *set;

    resized.capacity = capacity;
    resized.slots = calloc(capacity, sizeof(*resized.slots));
    if (!resized.slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->capacity; i++) {
        const struct entry_slot *slot = &set->slots[i];

        if (slot->queue != 0)
            resized.slots[find_slot(&resized, slot->queue, slot->id)] = *slot;
    }
    free(set->slots);
    *set = resized;
    return 0;
}

static void change_state(struct entry_set *set, struct entry_slot *slot, enum entry_state state)
{
    set->lost -= slot->state == ENTRY_LOST;
    set->lost += state == ENTRY_LOST;
    set->gone -= slot->state == ENTRY_GONE;
    set->gone += state == ENTRY_GONE;
    slot->state = state;
}

/* Counts an entry that comes (1) or goes (-1). */
static void count_entry(struct entry_set *set, const struct entry_slot *slot, int change)
{
    set->count += (size_t)change;
    set->bytes += (size_t)change * slot->bytes;
    if (slot->queue <= set->queue_count)
        set->of_queue[slot->queue - 1] += (size_t)change;
}

int entry_set_add(struct entry_set *set, size_t queue, struct entry_id id, uint64_t serial)
{
    uint32_t number = (uint32_t)queue + 1;

    if (2 * (set->count + 1) > set->capacity && resize(set, set->capacity ? 2 * set->capacity : CAPACITY_MIN) < 0)
        return -ENOMEM;
    size_t slot = find_slot(set, number, id);
    if (set->slots[slot].queue != 0) {
        if (set->slots[slot].state == ENTRY_LOST)
            change_state(set, &set->slots[slot], ENTRY_HELD);
        return 0;
    }
    set->slots[slot] = (struct entry_slot){id, serial, number, ENTRY_HELD, 0};
    count_entry(set, &set->slots[slot], 1);
    return 1;
}

/* NULL: it is not there. */
static struct entry_slot *look_up(const struct entry_set *set, size_t queue, struct entry_id id)
{
    if (set->count == 0)
        return NULL;
    struct entry_slot *slot = &set->slots[find_slot(set, (uint32_t)queue + 1, id)];
    return slot->queue == 0 ? NULL : slot;
}

uint64_t entry_set_serial(const struct entry_set *set, size_t queue, struct entry_id id)
{
    const struct entry_slot *slot = look_up(set, queue, id);

    return slot ? slot->serial : 0;
}

enum entry_state entry_set_state(const struct entry_set *set, size_t queue, struct entry_id id)
{
    const struct entry_slot *slot = look_up(set, queue, id);

    return slot ? slot->state : ENTRY_SETTLING;
}

void entry_set_mark(struct entry_set *set, size_t queue, struct entry_id id, enum entry_state state)
{
    struct entry_slot *slot = look_up(set, queue, id);

    if (slot)
        change_state(set, slot, state);
}

void entry_set_note_bytes(struct entry_set *set, size_t queue, struct entry_id id, size_t bytes)
{
    struct entry_slot *slot = look_up(set, queue, id);

    if (!slot)
        return;
    set->bytes -= slot->bytes;
    slot->bytes = (bytes < BYTES_MAX ? (uint32_t)bytes : BYTES_MAX) & BYTES_MAX;
    set->bytes += slot->bytes;
}

size_t entry_set_bytes(const struct entry_set *set, size_t queue, struct entry_id id)
{
    const struct entry_slot *slot = look_up(set, queue, id);

    return slot ? slot->bytes : 0;
}

/* What follows the emptied slot moves up, unless it would then stand before its home. */
static void close_gap(struct entry_set *set, size_t gap)
{
    const size_t mask = set->capacity - 1;

    for (size_t slot = (gap + 1) & mask; set->slots[slot].queue != 0; slot = (slot + 1) & mask) {
        size_t home = home_of(set, set->slots[slot].queue, set->slots[slot].id);

        if (((slot - home) & mask) >= ((slot - gap) & mask)) {
            set->slots[gap] = set->slots[slot];
            gap = slot;
        }
    }
    set->slots[gap].queue = 0;
}

static void remove_slot(struct entry_set *set, size_t slot)
{
    change_state(set, &set->slots[slot], ENTRY_HELD);
    count_entry(set, &set->slots[slot], -1);
    close_gap(set, slot);
}

void entry_set_remove(struct entry_set *set, size_t queue, struct entry_id id)
{
    struct entry_slot *slot = look_up(set, queue, id);

    if (slot && set->remembers)
        change_state(set, slot, ENTRY_GONE);
    else if (slot)
        remove_slot(set, (size_t)(slot - set->slots));
    /* After a peak. Where that cannot be done, the set is larger than it need be. */
    if (set->capacity > CAPACITY_MIN && set->count < set->capacity / 16)
        (void)!resize(set, set->capacity / 4);
}

/* Another one may move into a slot that is emptied. */
void entry_set_remember(struct entry_set *set, bool remembers)
{
    set->remembers = remembers;
    for (size_t slot = 0; slot < set->capacity && !remembers; slot++)
        while (set->slots[slot].queue != 0 && set->slots[slot].state == ENTRY_GONE)
            remove_slot(set, slot);
}

int entry_set_prepare(struct entry_set *set, size_t queue_count)
{
    set->of_queue = calloc(queue_count, sizeof(*set->of_queue));
    if (!set->of_queue)
        return -ENOMEM;
    set->queue_count = queue_count;
    return 0;
}

void entry_set_done(struct entry_set *set)
{
    free(set->slots);
    free(set->of_queue);
    *set = (struct entry_set){0};
}
