/*
 * The thread pool behind weft_offload() and behind jobs that block. Threads are started as they are needed; one that
 * has had nothing to do for some seconds ends. The pool belongs to a loop; unless said otherwise its functions are for
 * the thread of that loop.
 *
 * A call lives on the stack of the task that waits for it, and that task is never resumed before the call has returned:
 * what a thread may still use is not unwound. A call that others do not want to wait for any longer is abandoned: it is
 * no longer counted as one that occupies a thread, and its task stays where it is until the call returns, if ever.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include <weft/api.h>

/* The result of a function that has not returned but ended its thread: by pthread_exit(), or because it was cancelled.
 */
#define OFFLOAD_THREAD_ENDED (-EOWNERDEAD)

struct offload_pool;
struct offload_call;
struct weft_loop;
struct weft_task;

/* How many threads a pool has at the most, abandoned calls aside: unless it is said, and the most that can be said. */
enum { OFFLOAD_THREADS_DEFAULT = 64, OFFLOAD_THREADS_MAX = 1024 };

/* Frames of a call's backtrace at the most. */
enum { OFFLOAD_FRAMES_MAX = 48 };

/* Something that a thread of the pool wants the loop's thread to do. In its owner's memory. */
struct offload_post {
    struct offload_post *next;
    void (*fn)(struct offload_post *post);
};

/* Starts no thread yet. Errors: -ENOMEM. */
int offload_pool_new(struct event_base *base, struct offload_pool **ret_pool) WEFT_MUST_CHECK;

/* Waits for the threads to end; no call may be under way. Takes NULL, gives NULL. */
struct offload_pool *offload_pool_free(struct offload_pool *pool);

/* From now on it has so many threads at the most, 1 to OFFLOAD_THREADS_MAX. Those there are stay until they are idle.
 */
void offload_pool_set_limit(struct offload_pool *pool, unsigned threads);

/* Whether a thread is in a call, abandoned or not. */
bool offload_is_in_use(const struct offload_pool *pool);

/* Threads that there are now, and calls that were abandoned and have not returned. From any thread. */
unsigned offload_count_threads(struct offload_pool *pool);
unsigned offload_count_abandoned(struct offload_pool *pool);

/* ---- For tasks ---- */

/* Whether offload_take_turn() would have to wait. */
bool offload_is_crowded(void);

/* Waits until one of the pool's threads may be had, first come first served; `place` is where that is asked for, NULL:
 * not known. Gives 0, and offload_run() or offload_give_turn() must follow before the task waits for anything else; or
 * what interrupts the task. */
int offload_take_turn(const void *place) WEFT_MUST_CHECK;
void offload_give_turn(void);

/* Runs fn(arg) on a thread, for a task that has its turn, which this uses up. As weft_offload(); `place` is where that
 * was called from. */
int offload_run(int (*fn)(void *arg), void *arg, const void *place, int *ret_result) WEFT_MUST_CHECK;

/* ---- About a task that waits for a call ---- */

/* Whether it does, and the call has neither returned nor been abandoned. */
bool offload_is_under_way(const struct weft_task *task);

/* Has the thread note where it is, by a signal: what it was blocked in may give EINTR. */
void offload_ask_where(const struct weft_task *task);

/* The addresses that it has noted, the innermost first: a call returns to each of them. Gives their number, 0 where the
 * thread has not answered. */
size_t offload_where(const struct weft_task *task, uintptr_t frames[static OFFLOAD_FRAMES_MAX]);

/* Gives the call's thread up for lost until it returns, for a task that offload_is_under_way() was just true of. */
void offload_abandon(const struct weft_task *task);

/* ---- On a thread of the pool ---- */

/* The task whose call this thread runs, or NULL: this is no thread of a pool, or it is between calls. */
struct weft_task *offload_task_here(void);

/* That thread, as something to compare, or NULL as above. */
const void *offload_thread_here(void);

/* Whether this thread is one of a pool, and no loop runs on it: what belongs to a loop is refused with -EDEADLK. */
bool offload_is_here(void);

/* Has post->fn() called by the loop, at the root context, soon. Inside a call. */
void offload_post(struct offload_post *post);
