/*
 * What has become of the last reload, in a file of the service's runtime folder (systemd's RuntimeDirectory=): a signal
 * cannot answer, and `systemctl reload` is to fail where the configuration is refused.
 */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/reload.h"

/* What the file says; all zero at first. */
struct reload_outcome {
    bool told;
    unsigned begun;
    bool ended;
};

/* Writes the file where something has changed; without a runtime folder, nothing. A few times a second. */
void reload_outcome_tell(struct reload_outcome *outcome, const struct reload *reload);

/* What the unit's ExecReload= runs: sends SIGHUP to the service's main process, as the environment has it (MAINPID),
 * and waits for the outcome. Says on stderr what is wrong, and gives the exit status. */
int reload_outcome_ask(void);
