/*
 * The metadata of one message while it is read: which of its fields are metadata, each name once, in the order of
 * their first appearance.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/message/message.h"

#define METADATA_SLOTS 128 /* a power of two, at least twice JOB_METADATA_MAX */

/* Everything is borrowed. */
struct metadata {
    const struct message_field *fields[JOB_METADATA_MAX]; /* the last of each name */
    size_t count;
    uint8_t slots[METADATA_SLOTS]; /* a hash table of indices into `fields`, plus one; 0: free */
    const struct message_field *bad_name;
    bool too_many;
};

void metadata_init(struct metadata *metadata);

/* Takes a field that is not an instruction. Those of weft's own (`weft.*`) are passed over. */
void metadata_add(struct metadata *metadata, const struct message_field *field);

/* Whether what was added may stay; on an error (-EBADMSG) the reason is written into `rejection`. */
int metadata_check(const struct metadata *metadata, struct message_rejection *rejection) MUST_CHECK;
