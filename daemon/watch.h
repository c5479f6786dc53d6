/*
 * The watch over running workers: one that stands still, that cannot get rid of a job whose time is over, or that has
 * grown too large is ended before it costs others more than that; the job that is to blame is told apart from the
 * neighbours.
 */
#pragma once

#include "daemon/crew.h"

/* Looks at all workers that run; a few times a second. */
void watch_look(const struct crew *crew);
