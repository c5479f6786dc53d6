/*
 * The ID of an entry in a stream, and the set of those that this process holds: entries it was given and whose
 * settlement Redis has not yet confirmed. After a lost connection the set tells which of the entries that Redis has
 * down as ours never reached us, and which of those that we hold are not ours any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"

struct entry_id {
    uint64_t ms;
    uint64_t sequence;
};

/* Reads `MS-SEQUENCE`. Errors: -EINVAL. */
int entry_id_parse(const char *text, struct entry_id *ret_id) MUST_CHECK;

enum entry_state {
    ENTRY_HELD,
    ENTRY_SETTLING, /* its outcome waits to be written */
    ENTRY_LOST,     /* Redis does not have it down as ours any more */
    ENTRY_GONE,     /* removed, but remembered for the time being */
};

struct entry_slot {
    struct entry_id id;
    uint64_t serial;
    uint32_t queue;      /* its number plus 1; 0: the slot is empty */
    uint32_t state : 3;  /* enum entry_state */
    uint32_t bytes : 29; /* of the message, or as many as fit */
};

struct entry_set {
    struct entry_slot *slots;
    size_t capacity; /* a power of 2, or 0 */
    size_t count;
    size_t lost; /* how many of them are ENTRY_LOST */
    size_t gone; /* how many of them are ENTRY_GONE */
    bool remembers;
    size_t bytes;     /* of the messages of all */
    size_t *of_queue; /* how many of each queue there are; NULL: that is not counted */
    size_t queue_count;
};

/* A set that is all zero is empty and ready. */

/* Makes room to count entries of so many queues, of which none may have been added before. Errors: -ENOMEM. */
int entry_set_prepare(struct entry_set *set, size_t queue_count) MUST_CHECK;

/* Adds an entry of the queue number `queue`, which Redis has just given to us. Entries with consecutive serials lie
 * side by side in their stream. Gives 1, or 0 if it was there already; one that was lost is then held again. Errors:
 * -ENOMEM. */
int entry_set_add(struct entry_set *set, size_t queue, struct entry_id id, uint64_t serial) MUST_CHECK;

/* The entry's serial, or 0 if it is not there. */
uint64_t entry_set_serial(const struct entry_set *set, size_t queue, struct entry_id id);

/* Its state; one that is not there counts as settling. */
enum entry_state entry_set_state(const struct entry_set *set, size_t queue, struct entry_id id);

/* Changes its state; one that is not there does no harm. */
void entry_set_mark(struct entry_set *set, size_t queue, struct entry_id id, enum entry_state state);

/* Notes how large its message is; one that is not there does no harm. */
void entry_set_note_bytes(struct entry_set *set, size_t queue, struct entry_id id, size_t bytes);

/* How large its message is, as far as it has been noted; 0 of one that is not there. */
size_t entry_set_bytes(const struct entry_set *set, size_t queue, struct entry_id id);

/* From now on what is removed stays as ENTRY_GONE, or no longer. While entries are being read that Redis had down as
 * ours some time ago, those that have been settled since then are not to be taken for new. */
void entry_set_remember(struct entry_set *set, bool remembers);

/* Removes it; one that is not there does no harm. */
void entry_set_remove(struct entry_set *set, size_t queue, struct entry_id id);

void entry_set_done(struct entry_set *set);
