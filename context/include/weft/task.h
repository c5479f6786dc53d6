/*
 * Tasks: functions that read from top to bottom and wait without holding up anybody else.
 *
 * A task runs on a fiber, a stack of its own. While it waits, the event loop runs other tasks and callbacks. Each
 * task starts in the context of the code that spawned it and keeps it across every wait.
 *
 * All functions here belong to the thread that runs the loop, but for those under `Cancellation`, weft_post(),
 * weft_task_ref() and weft_task_unref(). Those marked
 * WEFT_MAY_WAIT must be called from a task; elsewhere they fail with -EDEADLK. They give a negative errno and set errno
 * to the same error, so that both `if (r < 0) return r;` and `return -errno;` are right. A task that was cancelled or
 * has run out of time gets -ECANCELED or -ETIME from the wait it is in and from every later one: it is expected to
 * clean up and return.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/api.h>
#include <weft/context.h>

WEFT_BEGIN_DECLS

/* ---- Tasks ---- */

struct weft_task;

/* Starts fn(arg) as a task called `name` (copied; a word or two for logs). It begins when the caller next waits or
 * returns. Fire and forget: nothing needs to be done with the handle, NULL (with errno: EAGAIN too many tasks,
 * ENOMEM, E2BIG the context has no room for the task's name, EDEADLK on a thread of weft_offload()'s, EPERM no loop,
 * EINVAL) says that it could not be started.
 * The handle is borrowed: valid until the task that called weft_spawn() ends, or, where a callback called it, until
 * that callback returns. */
WEFT_API struct weft_task *weft_spawn(const char *name, int (*fn)(void *arg), void *arg);

/* To keep a handle for longer; on any thread. Both take NULL. */
WEFT_API struct weft_task *weft_task_ref(struct weft_task *task);
WEFT_API struct weft_task *weft_task_unref(struct weft_task *task); /* gives NULL */

/* Waits until `task` has ended; `*ret_result` (may be NULL) is then what its function returned. Any number of tasks
 * may join one. Errors: -ECANCELED, -ETIME, -EDEADLK (also: a task that joins itself), -EINVAL (NULL). */
WEFT_API int weft_join(struct weft_task *task, int *ret_result) WEFT_MAY_WAIT;

/* Cancels a task: its waits give -ECANCELED from now on. Does nothing to one that has ended; nor on a thread of
 * weft_offload()'s, where errno is set to EDEADLK. */
WEFT_API void weft_cancel(struct weft_task *task);

/* The current task, borrowed, or NULL outside of every task. */
WEFT_API struct weft_task *weft_task_current(void);

/* ---- Waiting ---- */

/* Sleeps for so many milliseconds; 0 lets whatever else is ready run first. Gives 0, -ENOMEM, -ECANCELED, -ETIME,
 * -EDEADLK. */
WEFT_API int weft_sleep_ms(uint64_t milliseconds) WEFT_MAY_WAIT;

#define WEFT_READ  1u
#define WEFT_WRITE 2u

/* Waits until `fd` can be read or written (`what` is WEFT_READ, WEFT_WRITE or both), for at most `timeout_ms`
 * milliseconds (negative: for ever). Gives what it is ready for, a positive number. Errors: -ETIMEDOUT nothing
 * happened in time; -EINVAL; -EBADF; -ENOMEM; -ECANCELED, -ETIME, -EDEADLK. Files are always ready. The descriptor
 * stays the caller's. */
WEFT_API int weft_wait_fd(int fd, unsigned what, int64_t timeout_ms) WEFT_MAY_WAIT;

/* Runs fn(arg) on a thread of a pool, in the caller's context, while the calling task waits: for calls that block or
 * compute for long. `*ret_result` (may be NULL) is what fn returned. The pool has at most so many threads as
 * weft_loop_set_offload_threads() says (under weftd: `offload.threads`); beyond that, calls wait for their turn, first
 * come first served. Each has a stack of 1 MiB.
 *
 * In fn, the context, the log and what is under `Cancellation` work as everywhere. What waits, or needs the loop, fails
 * with -EDEADLK: weft_sleep_ms(), weft_wait_fd(), weft_join(), weft_future_wait(), weft_offload(), weft_call_soon(),
 * weft_call_later(), and weft_spawn() (NULL, with errno). weft_cancel() and weft_future_complete() have no result: they
 * do nothing there but set errno to EDEADLK. weft_task_current() and weft_loop_base() give NULL.
 *
 * A function that has begun is always waited for, since it may use the caller's memory: a cancellation or a time-out
 * that arrives meanwhile is told to fn, by weft_is_cancelled() and weft_on_cancel(), and to the caller afterwards;
 * `*ret_result` is then written as well. The caller goes on no earlier; weftd reports its job by then
 * (weft-handler(3)). Errors: -EAGAIN no thread could be started; -ENOMEM; -ECANCELED, -ETIME (before fn began, or while
 * it ran); -EINVAL; -EDEADLK. */
WEFT_API int weft_offload(int (*fn)(void *arg), void *arg, int *ret_result) WEFT_MAY_WAIT;

/* ---- Cancellation ---- */

/* These work in a task, and in a function that weft_offload() runs for it, on whose thread they may be called. They
 * mean the task: its job is cancelled, has run out of time, or has to end because the process does, or somebody has
 * called weft_cancel(). On other threads, and in callbacks, there is no such task. */

/* Whether the task has been cancelled or has run out of time; false where there is no task. Costs next to nothing. */
WEFT_API bool weft_is_cancelled(void);

/* How many milliseconds are left until the task runs out of time; 0: it has. -1: it has no time-out, as subtasks have
 * none, or there is no task. */
WEFT_API int64_t weft_deadline_ms(void);

/* Has fn(arg) called, once, when the task is cancelled or has run out of time: to end what it is blocked in, such as by
 * shutdown(2) of a socket or sqlite3_interrupt(). fn is called on the loop's thread, in the context of this call; it
 * must be quick and must not wait. What was registered is dropped when the function that weft_offload() runs returns,
 * or, where a task has registered it, when the task ends; or by weft_off_cancel(). Errors: -ECANCELED, -ETIME the task
 * is cancelled already, and fn will not be called; -ENOMEM; -EINVAL; -EDEADLK there is no task. */
WEFT_API int weft_on_cancel(void (*fn)(void *arg), void *arg);

/* Takes back the last registration of fn and arg by this function or task. When it returns on a thread of the pool, fn
 * is not running any more, so that what it uses may be freed. Errors: -ENOENT it was not registered, or has been
 * called; -EDEADLK there is no task. */
WEFT_API int weft_off_cancel(void (*fn)(void *arg), void *arg);

/* ---- Callbacks ---- */

/* Calls fn(arg) from the event loop, soon or in so many milliseconds, in the context of this call. There is no
 * handle and no way back: what must be awaited is a task, or completes a future. Errors: -EDEADLK on a thread of
 * weft_offload()'s, -EPERM no loop elsewhere, -EINVAL, -ENOMEM. */
WEFT_API int weft_call_soon(void (*fn)(void *arg), void *arg);
WEFT_API int weft_call_later(uint64_t milliseconds, void (*fn)(void *arg), void *arg);

struct weft_loop;

/* The way back into a loop from any thread: has fn(arg) called on the loop's thread, soon, in the context of this call;
 * what one thread posts runs in the order in which it was posted. Does not wait. `loop`, which must not be freed
 * meanwhile, is what weft_loop_new() gave; NULL is the process's: the one that was made first, or, after that was
 * freed, next. Under weftd that is the worker's. What was accepted is called, at the latest when the loop is freed; it
 * does not keep event_base_dispatch() from returning. Errors: -EPERM there is no loop yet, or this process is a forked
 * copy of a worker; -ESHUTDOWN the loop, or the worker, has ended; -EINVAL; -ENOMEM. */
WEFT_API int weft_post(struct weft_loop *loop, void (*fn)(void *arg), void *arg);

/* A result that a callback will deliver and a task waits for. Zero-initialised or made with weft_future_init();
 * it holds no memory of its own. Completing it a second time is ignored. */
struct weft_future {
    bool done;
    int result;
    struct weft_task *waiter;
};

/* Makes a future that is not done. */
WEFT_API void weft_future_init(struct weft_future *future);

/* Delivers the result; the task that waits for it goes on when the event loop next runs tasks. Does nothing on a thread
 * of weft_offload()'s, and sets errno to EDEADLK there. */
WEFT_API void weft_future_complete(struct weft_future *future, int result);

/* Waits for the result; `*ret_result` may be NULL. One task at a time: a second one gets -EBUSY. A wait that ends in
 * -ECANCELED or -ETIME has let go of the future, but the callback may still complete it: keep it allocated. */
WEFT_API int weft_future_wait(struct weft_future *future, int *ret_result) WEFT_MAY_WAIT;

/* Tasks that are alive in this process now. */
WEFT_API long weft_tasks_alive(void);

WEFT_END_DECLS
