/*
 * Where log lines go: terminals, pipes and files. Lines are collected in buffers in shared memory and written once a
 * turn of the loop, as far as the outputs take them; since the buffers outlive a process that crashes, the supervisor
 * writes what was left.
 */
#pragma once

#include <event2/event.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "daemon/scoreboard/log_buffer.h"
#include "daemon/scoreboard/scoreboard.h"

struct log_output;

/* Opens the outputs of the configuration. `slot`, in which lines are counted, and `config` must outlive it.
 * On failure `*ret_message` is a sentence for the user, to be freed. Errors: negative errno. */
int log_output_new(const struct config *config, struct scoreboard_slot *slot, struct log_output **ret_output,
                   char **ret_message) MUST_CHECK;

/* Sends the log of this process there, in the place of what was installed before. Lines are written at once. */
void log_output_install(struct log_output *output);

/* Makes buffers for a worker that is about to be forked, to be given to log_output_move() there and to
 * log_output_write_left() here. To be freed with log_buffers_free(). Errors: -ENOMEM. */
int log_output_new_buffers(const struct log_output *output, struct log_buffers **ret_buffers) MUST_CHECK;

/* In a worker, after the fork: lines go to `buffers`, are counted in `slot`, and are written from the loop of `base`.
 * Where the configuration says so, whoever logs waits while a buffer is full. Errors: -ENOMEM. */
int log_output_move(struct log_output *output, struct scoreboard_slot *slot, struct log_buffers *buffers,
                    struct event_base *base) MUST_CHECK;

/* Writes what is in the buffers, as far as the outputs take it; does not wait. Says what is wrong with them. */
void log_output_flush(struct log_output *output);

/* The same for what is installed. */
void log_output_tend(void);

/* Opens its files anew by their names, as after a rotation; NULL: those of what is installed. What cannot be opened is
 * said, and goes on as it was. Descriptors keep their numbers. */
void log_output_reopen(struct log_output *output);

/* How long somebody waits for an output; microseconds. */
struct log_output_patience {
    int64_t step_us;  /* until it takes something, again and again */
    int64_t limit_us; /* in all */
};

/* Writes what a process that is gone has left in its buffers, as far as the outputs take it in time. Gives how many
 * bytes are left. */
size_t log_output_write_left(struct log_output *output, const struct log_buffers *buffers,
                             const struct log_output_patience *patience);

/* Whether a line of these buffers is half written: nobody else writes there until it has ended. */
bool log_output_has_begun(const struct log_output *output, const struct log_buffers *buffers);

/* Gives up what is still in there; counts it as lost, and gives the number of lines. */
size_t log_output_discard_left(struct log_output *output, const struct log_buffers *buffers);

/* Whether `fd` is one of the outputs, or may be the way to the journal; NULL: of what is installed, if anything. */
bool log_output_has(const struct log_output *output, int fd);

/* Flushes and closes. Takes NULL, gives NULL. */
struct log_output *log_output_free(struct log_output *output);
