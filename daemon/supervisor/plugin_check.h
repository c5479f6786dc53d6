/*
 * Checking the plugins of a configuration: whether they load and have the handlers that the job types name. In a
 * process of its own, since loading a plugin runs its code, and the supervisor runs none.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/config/config.h"

struct plugin_check {
    const struct config *config;
    pid_t pid; /* 0: not running */
    int fd;    /* what the process has to say */
};

/* Starts the process. Errors: negative errno of pipe(2) and fork(2). */
int plugin_check_start(struct plugin_check *check, const struct config *config) __attribute__((warn_unused_result));

/* Its process has ended with `status`, as waitpid() gave it. Gives 0, or -EINVAL and in `*ret_message` a sentence for
 * the user, to be freed (NULL where there was no memory for one). */
int plugin_check_end(struct plugin_check *check, int status, char **ret_message) __attribute__((warn_unused_result));

/* Ends a process that takes too long; plugin_check_end() follows. */
void plugin_check_kill(const struct plugin_check *check);

/* Does all of it, and waits as long as loading takes. */
int plugin_check_run(const struct config *config, char **ret_message) __attribute__((warn_unused_result));
