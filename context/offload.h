/*
 * The thread pool behind weft_offload(). Threads are started as they are needed and stay until the pool is freed.
 */
#pragma once

#include <event2/event.h>

#include <weft/api.h>

struct offload_pool;

/* Threads a pool has at the most; further work queues for them. */
enum { OFFLOAD_THREADS_MAX = 4 };

/* Starts no thread yet. Errors: -ENOMEM. */
int offload_pool_new(struct event_base *base, struct offload_pool **ret_pool) WEFT_MUST_CHECK;

/* Waits for the threads to end; no work may be under way. Takes NULL, gives NULL. */
struct offload_pool *offload_pool_free(struct offload_pool *pool);
