/*
 * The job types of the configuration, with their handlers found in the plugins.
 */
#pragma once

#include "context/macros.h"
#include "daemon/config/config.h"
#include "handlers/attempt.h"
#include "handlers/registry.h"

struct job_types {
    struct job_type *types; /* sorted by name */
    size_t count;
    const struct weft_handler **handlers; /* what the chains point into */
};

/* Loads the plugins of `config` and finds the handlers of every chain. Runs code of the plugins: their constructors. On
 * failure
 * `*ret_message` is a sentence for the user, with file, line and column, to be freed. Errors: negative errno. */
int job_types_load(const struct config *config, struct registry *registry, struct job_types *ret_types,
                   char **ret_message) MUST_CHECK;

/* The type, or NULL. */
const struct job_type *job_types_find(const struct job_types *types, const char *name);

void job_types_done(struct job_types *types);
