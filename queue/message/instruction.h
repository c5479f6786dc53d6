/*
 * Instructions: the fields of a message that tell weft what to do with it, as opposed to its metadata. One table knows
 * their names and what each may hold.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/message/message.h"

/* They are checked in this order: of several that are bad, the first is the reason for the rejection. */
enum instruction {
    INSTRUCTION_ID,
    INSTRUCTION_AT,
    INSTRUCTION_TYPE,
    INSTRUCTION_ROOT,
    INSTRUCTION_DELAY,
    INSTRUCTION_PARENT,
    INSTRUCTION_UNIQUE,
    INSTRUCTION_PAYLOAD,
    INSTRUCTION_TIMEOUT,
    INSTRUCTION_WEFT_ID,
    INSTRUCTION_ATTEMPTS,
    INSTRUCTION_UNIQUE_FOR,
    INSTRUCTION_TRACESTATE,
    INSTRUCTION_TRACEPARENT,
    INSTRUCTION_WEFT_UNIQUE,
    INSTRUCTION_WEFT_ATTEMPT,
    INSTRUCTION_WEFT_ENQUEUED_AT,
    INSTRUCTION_WEFT_DUPLICATE_OF,
    INSTRUCTION_COUNT,
    INSTRUCTION_NONE = INSTRUCTION_COUNT,
};

/* The instructions of one message. Starts as zeros; borrows the fields. */
struct instructions {
    const struct message_field *given[INSTRUCTION_COUNT]; /* the last of each name; NULL: not given */
    int64_t numbers[INSTRUCTION_COUNT]; /* of those given that are durations (ms), times (Unix ms) or whole numbers */
};

/* The instruction called so, or INSTRUCTION_NONE. */
enum instruction instruction_find(const char *name, size_t size);

/* Checks all that were given and reads their numbers; `type` is not required here. On an error (-EBADMSG) the reason
 * is written into `rejection`. */
int instructions_read(struct instructions *instructions, struct message_rejection *rejection) MUST_CHECK;
