/*
 * The password's file, so that no password has to stand in the configuration or on a command line.
 */
#pragma once

#include "daemon/config/value.h"

/* char *: the path, made absolute; a relative one is looked for among systemd's credentials first. The password itself
 * goes into the reader's configuration. May wait for the disk. */
extern const struct config_type config_type_password_file;
