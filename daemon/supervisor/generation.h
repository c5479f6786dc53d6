/*
 * A generation: one configuration in force, with what is made from it. A reload brings the next one, and the old one
 * lives until the last of its workers has ended and what those held has been given back.
 */
#pragma once

#include <stddef.h>

#include <event2/event.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "daemon/log/log_output.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/supervisor/web.h"
#include "queue/maintenance/maintenance.h"

struct generation {
    struct config *config;
    struct log_output *output;       /* NULL while a reload prepares it */
    struct maintenance *maintenance; /* NULL until generation_connect() */
    struct web *web;                 /* NULL: it has none, or not yet */
    void *owner;                     /* for the maintenance's events, whose user is the generation */
    unsigned number;                 /* from 1, for what is said about it */
    size_t users;                    /* workers of it, the worker pool that starts them, a reload that prepares it */
    char redis_problem[SCOREBOARD_PROBLEM_SIZE]; /* what its maintenance says; "": none */
    bool redis_full;                             /* its memory, so it says */
};

/* Takes `config` and `output`, which may be NULL, over where it succeeds; one user is the caller. Errors: -ENOMEM. */
int generation_new(struct config *config, struct log_output *output, void *owner,
                   struct generation **ret_generation) MUST_CHECK;

/* Makes the maintenance, which starts to connect. Errors: -ENOMEM. */
int generation_connect(struct generation *generation, struct event_base *base,
                       const struct maintenance_events *events) MUST_CHECK;

struct generation *generation_ref(struct generation *generation);

/* Gives NULL. The last user frees it, not from inside one of its maintenance's events or its web server's pages. */
struct generation *generation_unref(struct generation *generation);
