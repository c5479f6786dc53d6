/*
 * The loop: what tasks, waits and callbacks run on, attached to a libevent base of the caller's. A program that uses
 * the context library by itself makes one; weftd has made it before a plugin sees the light.
 */
#pragma once

#include <weft/api.h>

struct event_base;

WEFT_BEGIN_DECLS

struct weft_loop;

/* Attaches to `base` for the calling thread, which is to run event_base_dispatch() or event_base_loop(). One loop a
 * thread. The base stays the caller's and must outlive the loop. While nothing is spawned, waiting or scheduled, the
 * loop holds no event, so that event_base_dispatch() returns. Errors: -EBUSY the thread has a loop; -ENOMEM. */
WEFT_API int weft_loop_new(struct event_base *base, struct weft_loop **ret_loop) WEFT_MUST_CHECK;

/* Detaches. Every task must have ended; callbacks that were scheduled and did not run are dropped. NULL does nothing;
 * gives NULL. */
WEFT_API struct weft_loop *weft_loop_free(struct weft_loop *loop);

/* How many threads weft_offload() has at the most, from 1 to 1024; 64 unless this is called. They are started as they
 * are needed, and end after 10 seconds of having nothing to do. Under weftd the configuration says it
 * (`offload.threads`). On the loop's thread. Errors: -EINVAL. */
WEFT_API int weft_loop_set_offload_threads(struct weft_loop *loop, unsigned threads);

/* The base of this thread's loop, for code that is written for libevent: borrowed, and to be neither run nor freed.
 * NULL: the thread has no loop. Under weftd it has libevent's locks: other threads may call event_base_once() on it. */
WEFT_API struct event_base *weft_loop_base(void);

WEFT_END_DECLS
