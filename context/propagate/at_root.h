/*
 * What runs at the root: for finding out where a context is lost, callbacks that run in none are named in the log.
 */
#pragma once

#include <stdbool.h>

/* While it is set, what is scheduled at the root is an operation as well. */
extern bool at_root_is_watched;

/* From now on each callback of a plugin that runs at the root is named, with the place that it was armed at: once for
 * each place, until so many have been named that nobody reads on. To be called before anything is scheduled. */
void at_root_watch(void);
