/*
 * One of the places that log lines go to: what it is, and the descriptor that it is written by.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "daemon/config/config.h"

struct log_destination {
    int fd;
    bool owned;   /* a file that was opened here */
    bool journal; /* lines are handed over one by one, and none is kept */
    bool text;
    bool colour;
    const char *name; /* as configured */
    int error;        /* of the last write */
    int logged_error; /* what of that has been logged */
    unsigned lost;    /* lines that did not fit into the buffer */
};

/* Opens the outputs of the configuration, of which there may be SCOREBOARD_OUTPUTS_MAX, into `destinations`;
 * `*ret_count` of them are open then, also on failure. On failure `*ret_message` is a sentence for the user, to be
 * freed. Errors: negative errno. */
int log_destinations_open(const struct config *config, struct log_destination *destinations, size_t *ret_count,
                          char **ret_message) MUST_CHECK;

/* Opens a file anew by its name; does nothing for what is no file. Its descriptor keeps its number, and on failure its
 * file. Errors: those of open(2). */
int log_destination_reopen(const struct log_destination *destination) MUST_CHECK;

/* Whether it is, or may be, what is written by `fd`. */
bool log_destination_may_use(const struct log_destination *destination, int fd);

void log_destination_close(const struct log_destination *destination);
