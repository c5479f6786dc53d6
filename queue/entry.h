/*
 * The ID of an entry in a stream, and the set of those that this process holds: entries it was given and whose
 * settlement Redis has not yet confirmed. After a lost connection the set tells which of the entries that Redis has
 * down as ours never reached us.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry_id {
    uint64_t ms;
    uint64_t sequence;
};

/* Reads `MS-SEQUENCE`. Errors: -EINVAL. */
int entry_id_parse(const char *text, struct entry_id *ret_id) __attribute__((warn_unused_result));

struct entry_slot {
    struct entry_id id;
    uint64_t serial;
    uint32_t queue; /* its number plus 1; 0: the slot is empty */
};

struct entry_set {
    struct entry_slot *slots;
    size_t capacity; /* a power of 2, or 0 */
    size_t count;
};

/* A set that is all zero is empty and ready. */

/* Adds an entry of the queue number `queue`. Entries with consecutive serials lie side by side in their stream. Gives
 * 1, or 0 if it was there already. Errors: -ENOMEM. */
int entry_set_add(struct entry_set *set, size_t queue, struct entry_id id, uint64_t serial)
    __attribute__((warn_unused_result));

/* The entry's serial, or 0 if it is not there. */
uint64_t entry_set_serial(const struct entry_set *set, size_t queue, struct entry_id id);

/* Removes it; one that is not there does no harm. */
void entry_set_remove(struct entry_set *set, size_t queue, struct entry_id id);

void entry_set_done(struct entry_set *set);
