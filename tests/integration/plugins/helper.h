/* A library that plugins are linked with, and that starts threads and events of its own. */
#pragma once

struct event_base;

/* Calls fn(arg) on a pool's thread, which is made on first use; on a thread of its own; and from a timer, or from a
 * timer that it keeps for all. */
void helper_on_pool(void (*fn)(void *arg), void *arg);
void helper_on_thread(void (*fn)(void *arg), void *arg);
void helper_on_timer(struct event_base *base, void (*fn)(void *arg), void *arg);
