/*
 * One of the places that log lines go to: what it is, and how bytes are written to it so that no line is torn and
 * nobody waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "daemon/log/log_turn.h"
#include "daemon/scoreboard/log_buffer.h"

enum log_destination_kind {
    LOG_TO_FILE,        /* what is appended by one call stays together, whoever appends as well */
    LOG_TO_SHARED_FILE, /* of another host: nothing but taking turns keeps it together */
    LOG_TO_PIPE,        /* up to PIPE_BUF bytes stay together */
    LOG_TO_SOCKET,
    LOG_TO_PACKETS, /* a socket that takes each line as a message of its own */
    LOG_TO_TERMINAL,
    LOG_TO_DEVICE,  /* such as /dev/null */
    LOG_TO_JOURNAL, /* lines are handed over one by one, and none is kept */
};

struct log_destination {
    enum log_destination_kind kind;
    int fd;
    bool owned;            /* a descriptor that was opened here */
    bool named;            /* by a name that can be opened anew */
    bool waits;            /* the descriptor may wait: it is asked before each write whether it takes something */
    struct log_turn *turn; /* NULL: of the journal */
    bool text;
    bool colour;
    const char *name;   /* as configured */
    int error;          /* of the last write */
    bool full;          /* lines have been lost because of its full buffer, which has not been emptied since */
    int logged_problem; /* what of both has been logged */
    unsigned lost;      /* lines since the last time that it was said */
};

/* Opens the outputs of the configuration, of which there may be LOG_BUFFERS_MAX, into `destinations`; `*ret_count` of
 * them are open then, also on failure. Waits for nobody. On failure `*ret_message` is a sentence for the user, to be
 * freed. Errors: negative errno. */
int log_destinations_open(const struct config *config, struct log_destination *destinations, size_t *ret_count,
                          char **ret_message) MUST_CHECK;

/* Opens a file anew by its name; does nothing for what is no file. Its descriptor keeps its number, and on failure its
 * file. Errors: those of open(2). */
int log_destination_reopen(const struct log_destination *destination) MUST_CHECK;

/* Whether it is, or may be, what is written by `fd`. */
bool log_destination_may_use(const struct log_destination *destination, int fd);

void log_destination_close(struct log_destination *destination);

/* Writes what is in a buffer of the buffers `id`, as far as the output takes it, and never waits. Lines for an output
 * that is gone for good are thrown away, and counted. Gives 0 when the buffer is empty, -EAGAIN when the output is full
 * or another's turn, else a negative errno; what is not written stays in the buffer. */
int log_destination_write(struct log_destination *destination, const struct log_buffer *buffer, uint32_t id) MUST_CHECK;

/* Waits until the output may take something again, for at most so long. */
void log_destination_wait(const struct log_destination *destination, int time_ms);
