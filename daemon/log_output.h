/*
 * Where log lines go: terminals, pipes and files. Lines are collected in the scoreboard and written once a turn of the
 * loop; since the scoreboard outlives a process that crashes, the supervisor writes what was left.
 */
#pragma once

#include <event2/event.h>

#include "daemon/config/config.h"
#include "daemon/scoreboard.h"

struct log_output;

/* Opens the outputs of the configuration and sends the log there, unbuffered and as `slot` 0, the supervisor's. On
 * failure
 * `*ret_message` is a sentence for the user, to be freed. Errors: negative errno. `config` and `scoreboard` must
 * outlive it. */
int log_output_new(const struct config *config, struct scoreboard *scoreboard, struct log_output **ret_output,
                   char **ret_message) __attribute__((warn_unused_result));

/* In a worker, after the fork: lines go to the buffers of `slot` and are written from the loop of `base`. Errors:
 * -ENOMEM. */
int log_output_move(struct log_output *output, size_t slot, struct event_base *base)
    __attribute__((warn_unused_result));

/* Writes what is in the buffers. May block as long as the output does. */
void log_output_flush(struct log_output *output);

/* Writes what a process that is gone has left in its slot. */
void log_output_flush_slot(struct log_output *output, size_t slot);

/* Whether `fd` is one of the outputs. */
bool log_output_has(const struct log_output *output, int fd);

/* Flushes and closes. Takes NULL, gives NULL. */
struct log_output *log_output_free(struct log_output *output);
