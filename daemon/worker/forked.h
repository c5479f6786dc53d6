/*
 * What a process that a handler forks does not share with its worker, though it is a copy of it.
 */
#pragma once

#include <event2/event.h>

/* In a worker that has just made its loop: sees to it that whatever is forked from it leaves the worker's descriptors,
 * signals and log alone, and ends when it comes back to the loop. */
void forked_prepare(struct event_base *base);

/* Where weftd's own code goes on that may have been run in such a copy: ends it. */
void forked_check(void);
