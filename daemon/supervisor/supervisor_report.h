/*
 * What the supervisor tells others of itself: the service manager, and whoever asks its web server.
 */
#pragma once

#include "daemon/supervisor/supervisor_state.h"

/* Tells the service manager how it is; a few times a second, and when the phase has changed. */
void supervisor_tell_manager(struct supervisor *supervisor);

/* The web server's pages, whose user is the supervisor. */
extern const struct web_pages supervisor_pages;
