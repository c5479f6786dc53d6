/*
 * Where log lines go: terminals, pipes and files. Lines are collected in the scoreboard and written once a turn of the
 * loop; since the scoreboard outlives a process that crashes, the supervisor writes what was left.
 */
#pragma once

#include <event2/event.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "daemon/scoreboard/scoreboard.h"

struct log_output;

/* Opens the outputs of the configuration. `slot`, in whose buffers lines are collected, and `config` must outlive it.
 * On failure `*ret_message` is a sentence for the user, to be freed. Errors: negative errno. */
int log_output_new(const struct config *config, struct scoreboard_slot *slot, struct log_output **ret_output,
                   char **ret_message) MUST_CHECK;

/* Sends the log of this process there, in the place of what was installed before. Lines are written at once. */
void log_output_install(struct log_output *output);

/* In a worker, after the fork: lines go to the buffers of `slot` and are written from the loop of `base`. Errors:
 * -ENOMEM. */
int log_output_move(struct log_output *output, struct scoreboard_slot *slot, struct event_base *base) MUST_CHECK;

/* Writes what is in the buffers. May block as long as the output does. */
void log_output_flush(struct log_output *output);

/* The same for what is installed. */
void log_output_tend(void);

/* Opens its files anew by their names, as after a rotation; NULL: those of what is installed. What cannot be opened is
 * said, and goes on as it was. Descriptors keep their numbers. */
void log_output_reopen(struct log_output *output);

/* Writes what a process that is gone has left in its slot. What an output does not take stays there; gives 0 or the
 * negative errno of that. */
int log_output_flush_slot(struct log_output *output, struct scoreboard_slot *slot);

/* Whether `fd` is one of the outputs, or may be the way to the journal; NULL: of what is installed, if anything. */
bool log_output_has(const struct log_output *output, int fd);

/* Flushes and closes. Takes NULL, gives NULL. */
struct log_output *log_output_free(struct log_output *output);
