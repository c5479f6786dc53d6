/*
 * Whose turn it is to write to an output. All processes of weftd write to the same pipe or terminal, which takes long
 * lines in pieces: whoever has begun a line keeps the turn until it has ended it, through a reader that stalls and, by
 * way of the supervisor, through its own death. Nobody waits here; who has no turn tries again later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "context/macros.h"

struct log_turn;

/* Gives the turn of the output that these two numbers name, the same one to all who ask for it and to children that are
 * forked from then on. To be given back with log_turn_unref(). Errors: -ENOMEM; -ENFILE: there are too many. */
int log_turn_new(uint64_t device, uint64_t number, struct log_turn **ret_turn) MUST_CHECK;

/* Takes NULL, gives NULL. */
struct log_turn *log_turn_unref(struct log_turn *turn);

enum log_turn_state {
    LOG_TURN_OTHERS, /* another has it */
    LOG_TURN_TAKEN,
    LOG_TURN_KEPT, /* from before: a line of these buffers may have been begun */
};

/* Takes the turn for what is in the buffers `id` (0: those of no worker). From one that has been gone for a while
 * without its line being ended the turn passes, and the line is torn. */
enum log_turn_state log_turn_take(struct log_turn *turn, uint32_t id);

/* The line has ended. */
void log_turn_give(struct log_turn *turn);

/* Whether it is the turn of the buffers `id`, of which none has 0. */
bool log_turn_belongs_to(const struct log_turn *turn, uint32_t id);

/* What the buffers `id` hold will not be written any more: if a line of theirs was begun, it is torn. */
void log_turn_abandon(struct log_turn *turn, uint32_t id);

/* Notes that the output ends with half a line, which is not to be continued. */
void log_turn_tear(struct log_turn *turn);

/* Whether the output ends with half a line, which the caller is to end before it writes. Asked once. */
bool log_turn_is_torn(struct log_turn *turn);

/* Whether the output takes nothing any more, for good. */
bool log_turn_is_gone(const struct log_turn *turn);

/* Notes that, or that it is there again. */
void log_turn_set_gone(struct log_turn *turn, bool gone);

/* Whether the caller is the first, of all processes, to ask about an output that is gone: it is to tell. */
bool log_turn_is_to_tell(struct log_turn *turn);
