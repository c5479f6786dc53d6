/*
 * What a plugin for weftd is written against: handlers, the job they run for, and all of the context, tasks and log.
 *
 * A plugin is a shared object that exports one descriptor, made by WEFT_PLUGIN(). Build it with
 *
 *     cc -shared -fPIC $(pkg-config --cflags weft) -o profile.so profile.c
 *
 * name it under `plugins:` in weftd's configuration, and use its handlers in the chains under `jobs:`.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/api.h>
#include <weft/context.h>
#include <weft/log.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

/* ---- Handlers ---- */

/* One attempt of a job. Valid in its handlers, in what they defer, and in every task and callback that they start:
 * the job's memory lives until the last context of the job is gone. */
struct weft_job;

/*
 * One step of a job's chain; it runs as part of a task and may wait. The result decides what comes next:
 *   0                   the next handler of the chain, or, after the last, the job is done;
 *   weft_fail(...)      the job has failed for good and becomes a dead letter;
 *   weft_retry(...)     the attempt has failed; the next one begins after the delay that was asked for;
 *   a negative errno    the attempt has failed; the policy of the job type (attempts, backoff) decides.
 * A positive result is a mistake in the handler and fails the attempt as -EPROTO would.
 */
typedef int weft_handler_fn(struct weft_job *job);

/* Runs the rest of the chain now, inside the calling handler, and gives its result: 0, or the error of the handler
 * that failed. The chain does not go on after the caller returns. This makes middleware: a scope, a timer, a
 * transaction around the rest. Errors: -EALREADY when the rest has run already; -EDEADLK not the chain's task or
 * thread.
 */
WEFT_API int weft_next(struct weft_job *job) WEFT_MAY_WAIT;

/* Fails the job for good, with a reason (printf's) for its log, its report and its dead letter. To be returned: gives
 * a negative errno. The last call counts. */
WEFT_API int weft_fail(struct weft_job *job, const char *format, ...) WEFT_PRINTF(2, 3);

/* Fails this attempt and asks for the next in so many milliseconds. Counts as an attempt like any other: after the
 * last one allowed, the job is a dead letter. To be returned: gives a negative errno. */
WEFT_API int weft_retry(struct weft_job *job, uint64_t milliseconds, const char *format, ...) WEFT_PRINTF(3, 4);

/* Fails this attempt in words of its own (printf's), where weft_fail() and weft_retry() would say more than is known:
 * when the next one begins, or whether, is the policy's to decide, as for any negative errno. To be returned: gives
 * `error`, a negative errno, or, where it is none, -EPROTO. The last call counts. */
WEFT_API int weft_explain(struct weft_job *job, int error, const char *format, ...) WEFT_PRINTF(3, 4);

/* For code whose result nobody gets, such as a callback of libevent's: logs `callback failed` under the job of the
 * current context, with printf's words and what `error` (a negative errno, or a positive one; 0: none) stands for, and
 * with what led here, and counts it among the job's failed subtasks. On a thread other than the loop's it is logged and
 * not counted. Does not wait, and keeps errno. */
WEFT_API void weft_report_error(int error, const char *format, ...) WEFT_PRINTF(2, 3);

/* ---- Where these may be called ----
 *
 * A chain runs in a task on the loop's thread, or, where its type is configured with `blocking: true`, on a thread of
 * the worker's, where its handlers may block. All functions of this header work in both, and all but weft_next() in
 * what weft_offload() runs on a thread, also at the same time. What waits in a fiber or needs the loop is refused on a
 * thread with -EDEADLK; <weft/task.h> says, at weft_offload(), which functions that are, and how blocking code is told
 * that it is to end. */

/* ---- The job ---- */

/* What the job is, valid as long as the job. From any thread. */
WEFT_API const char *weft_job_id(const struct weft_job *job);
WEFT_API const char *weft_job_type(const struct weft_job *job);
WEFT_API const char *weft_job_queue(const struct weft_job *job);
WEFT_API const char *weft_job_root(const struct weft_job *job);   /* the job ID of its first ancestor, or its own */
WEFT_API const char *weft_job_parent(const struct weft_job *job); /* NULL when no job enqueued it */
WEFT_API unsigned weft_job_attempt(const struct weft_job *job);   /* 1 for the first */

/* The payload: `*ret_size` (may be NULL) bytes, followed by a NUL. Empty, never NULL, where the message had none. */
WEFT_API const void *weft_job_payload(const struct weft_job *job, size_t *ret_size);

/* The job that the current context belongs to, or NULL: for code deep inside that was not handed one. */
WEFT_API struct weft_job *weft_job_current(void);

/* ---- What the job leaves behind ---- */

/* From any thread. After the attempt has ended they have no effect. */

/* Sets the job's result, replacing an earlier one: text (JSON, by custom) or bytes; copied. It is stored in the report
 * when the job is done. Gives 0, -E2BIG over 1 MiB, -ENOMEM. */
WEFT_API int weft_result(struct weft_job *job, const char *text);
WEFT_API int weft_result_bytes(struct weft_job *job, const void *data, size_t size);

/* Reports how far the job is, in any words ("40%", "12 of 30 pages"); `weft status` shows it while the job runs. Cheap:
 * the latest one is written a few times a second. Gives 0, -E2BIG over 1 KiB, -ENOMEM. */
WEFT_API int weft_progress(struct weft_job *job, const char *format, ...) WEFT_PRINTF(2, 3);

/* ---- Memory and cleaning up ---- */

/* From any thread. */

/* Memory, zeroed and aligned for any type, that is freed by itself when the job and everything it started are over. */
WEFT_API void *weft_alloc(struct weft_job *job, size_t size);
WEFT_API char *weft_strdup(struct weft_job *job, const char *text);
WEFT_API char *weft_printf(struct weft_job *job, const char *format, ...) WEFT_PRINTF(2, 3);

/* Calls fn(arg) when the chain has ended, whatever its outcome; the last deferred first, in the job's context, and
 * where the chain ran: on its thread, for a type that blocks. Else fn may wait, though a cancelled job's waits end at
 * once. Gives 0 or -ENOMEM. */
WEFT_API int weft_defer(struct weft_job *job, void (*fn)(void *arg), void *arg);

/* ---- Child jobs ---- */

#define WEFT_ID_SIZE 129 /* a job ID and its NUL */

/* How to enqueue; zero means the default everywhere. */
struct weft_enqueue_options {
    const char *queue;           /* default: the current job's queue, else `default` */
    const char *id;              /* the job ID; default: given by Redis */
    uint64_t delay_ms;           /* default: at once */
    unsigned attempts;           /* default: as configured for the type */
    uint64_t timeout_ms;         /* default: as configured for the type */
    const char *unique;          /* a key; only one job with it is queued or running, another ends as its duplicate */
    uint64_t unique_for_ms;      /* how long the key is held at most */
    const char *const *metadata; /* further metadata: name, value, name, value, ..., NULL; no instructions */
};

/* Enqueues a job and waits until Redis has taken it. Inside a job the new one is its child: it gets `parent`, `root`,
 * the trace, and the job's metadata as the current context has it (so a value that was set anew is passed on as such).
 * `payload` may be NULL, `options` may be NULL. `ret_id` (may be NULL; WEFT_ID_SIZE bytes) receives the job ID.
 * Errors: -EINVAL a name, ID or type that weft would refuse; -E2BIG over 64 fields or 16 KiB of metadata; -ENOTCONN
 * Redis is away; -EIO Redis said no (the log tells what); -ECANCELED, -ETIME, -EDEADLK. After -ECANCELED and -ETIME the
 * job may have been enqueued. On a thread (blocking jobs, weft_offload()) it blocks until Redis has answered; there it
 * gives -EDEADLK only outside of a job's context. */
WEFT_API int weft_enqueue(const char *type, const void *payload, size_t size,
                          const struct weft_enqueue_options *options, char *ret_id) WEFT_MAY_WAIT;

/* ---- The plugin's descriptor ---- */

/* Raised whenever a plugin built before cannot work any more. */
#define WEFT_ABI 1u

struct weft_handler {
    const char *name; /* [A-Za-z0-9._-]{1,128} */
    weft_handler_fn *run;
};

struct weft_plugin {
    uint32_t abi;  /* WEFT_ABI */
    uint32_t size; /* sizeof(struct weft_plugin) */
    const char *name;
    const struct weft_handler *handlers; /* ends with a NULL name */

    /* Both may be NULL. `start` runs once in each worker process before the first job, outside every context; a
     * negative errno keeps the worker from starting. `stop` runs when the worker has finished its last job. Neither may
     * wait. */
    int (*start)(void);
    void (*stop)(void);
};

#define WEFT_HANDLER(name_, function_)                                                                                 \
    {                                                                                                                  \
        (name_), (function_)                                                                                           \
    }

/* Makes the descriptor: the plugin's name, then WEFT_HANDLER() for each handler. */
#define WEFT_PLUGIN(name_, ...) WEFT_PLUGIN_WITH_HOOKS((name_), NULL, NULL, __VA_ARGS__)

/* The same, with functions for start and stop. */
#define WEFT_PLUGIN_WITH_HOOKS(name_, start_, stop_, ...)                                                              \
    static const struct weft_handler weft_plugin_handlers_[] = {__VA_ARGS__, {NULL, NULL}};                            \
    WEFT_API extern const struct weft_plugin weft_plugin;                                                              \
    const struct weft_plugin weft_plugin = {                                                                           \
        WEFT_ABI, (uint32_t)sizeof(struct weft_plugin), (name_), weft_plugin_handlers_, (start_), (stop_)}

WEFT_END_DECLS
