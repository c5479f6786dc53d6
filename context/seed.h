/*
 * Seeds: the values a job starts with, one block that all frames of the job share.
 */
#pragma once

#include <stddef.h>

#include "context/frame.h"

struct seed;

/* Makes a seed without an owner. The entries are copied, their strings are not; the first of a name counts.
 * Errors: -E2BIG more entries than a seed can count, -ENOMEM. */
int seed_new(const struct frame_entry *entries, size_t count, struct seed **ret_seed) WEFT_MUST_CHECK;

/* From now on release(owner) is called when the last reference is gone. */
void seed_own(struct seed *seed, void *owner, void (*release)(void *owner));

/* How many frames there are of the seed: contexts of one flow of work that are alive. */
unsigned seed_count_frames(const struct seed *seed);

struct seed *seed_ref(struct seed *seed);   /* takes NULL */
struct seed *seed_unref(struct seed *seed); /* takes NULL, gives NULL */

/* The entry of that name, or NULL. A NULL seed has none. */
const struct frame_entry *seed_find(const struct seed *seed, const struct frame_key *key);

/* The entry at a place, counted from 0, and what it is looked up by; NULL beyond the last. */
const struct frame_entry *seed_at(const struct seed *seed, size_t place, struct frame_key *ret_key);
