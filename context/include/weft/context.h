/*
 * The context: named values that belong to one flow of work and follow everything it starts.
 *
 * A context is an immutable, reference-counted frame. Whoever schedules work captures the current frame (one
 * increment), and whoever runs the work later installs it (one pointer). Nothing is passed by hand.
 *
 * Values change only inside a scope: weft_set() replaces the current frame by a copy with the new value, and the end
 * of the innermost run, scope, task or callback puts back what was current before it. What was captured earlier
 * keeps what it saw. There is no way to change the context of a caller, of a neighbour, or of the event loop.
 *
 * None of these functions waits. All of them belong to the calling thread, which has a current context of its own;
 * captured contexts may be passed between threads.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/api.h>

WEFT_BEGIN_DECLS

/* A captured context. NULL is the root: the context that holds nothing. */
struct weft_context;

/* The most values one context may hold, and the most bytes of names and values together. */
#define WEFT_CONTEXT_VALUES_MAX 128
#define WEFT_CONTEXT_BYTES_MAX  65536

/* ---- Reading ---- */

/* The value called `name`, NUL-terminated, or NULL where the current context has none (or holds a pointer under that
 * name). Borrowed: valid until the current run, scope, task or callback ends or sets the same name. */
WEFT_API const char *weft_get(const char *name);

/* For names that are written in the code, which most are: what was found is remembered by the name's address. */
const char *weft_get_literal_(const char *name) WEFT_API;
#define weft_get(name_) (__builtin_constant_p(name_) ? weft_get_literal_(name_) : (weft_get)(name_))

/* As weft_get(), for values that may contain NUL bytes: `*ret_size` is the size without the terminating NUL, and is
 * written only where a value is returned. */
WEFT_API const void *weft_get_bytes(const char *name, size_t *ret_size);

/* The pointer that weft_set_pointer() stored under `name`, or NULL. */
WEFT_API void *weft_get_pointer(const char *name);

/* Calls `visit` for every value that is not a pointer, in no particular order, until it returns non-zero; gives that
 * result, else 0. `value` is NUL-terminated and has `size` bytes before the NUL. */
WEFT_API int weft_each(int (*visit)(const char *name, const char *value, size_t size, void *arg), void *arg);

/* ---- Writing ---- */

/* Sets `name` for the rest of the innermost run, scope, task or callback, and for what it starts from now on.
 * Name and value are copied; a NULL value is as weft_unset(). Names beginning with "weft." are refused.
 * Errors: -EPERM outside every run, scope, task and callback of a job; -EINVAL bad name; -E2BIG limits; -ENOMEM. */
WEFT_API int weft_set(const char *name, const char *value);
WEFT_API int weft_set_bytes(const char *name, const void *value, size_t size);

/* Stores a pointer. `release` (may be NULL) is called with it exactly once, when the last context that holds it is
 * gone, on whichever thread that happens, with the root context current. On an error it is not called: the pointer
 * stays the caller's. This is how a flow shares one mutable object: the context holds the pointer, never changes it. */
WEFT_API int weft_set_pointer(const char *name, void *pointer, void (*release)(void *pointer));

/* Hides `name`: weft_get() gives NULL as if it had never been set. Errors as weft_set(). */
WEFT_API int weft_unset(const char *name);

/* ---- Runs and scopes ---- */

/* Calls fn(arg) in a scope of its own and gives its result: what it sets is undone when it returns. */
WEFT_API int weft_run(int (*fn)(void *arg), void *arg);

/* The same, with one value set for it. Also the errors of weft_set(), in which case fn is not called. */
WEFT_API int weft_run_with(const char *name, const char *value, int (*fn)(void *arg), void *arg);

/* Calls fn(arg) at the root: no value is visible to it, nor to what it starts. For infrastructure (pools, reapers)
 * that happens to be created by a job and must not keep that job's context alive. */
WEFT_API int weft_exit(int (*fn)(void *arg), void *arg);

/* A scope without a function. It must be ended by the function, task or callback that began it, innermost first. One
 * that was forgotten is ended, with a warning in the log, when the run, task or callback that it was begun in ends. */
struct weft_scope {
    uint64_t serial;
};

/* Begins a scope. */
WEFT_API void weft_scope_begin(struct weft_scope *scope);

/* The same, in a captured context (NULL: at the root): what runs until the end of the scope runs there. For callbacks
 * of libraries that weft does not follow, and whose arguments weft_run_in() and weft_call() would have to be handed
 * through. */
WEFT_API void weft_scope_begin_in(struct weft_scope *scope, struct weft_context *context);

/* Ends it: the context is again what it was at the beginning. Scopes that were begun inside and are still open are
 * ended first, and -EINVAL says so. Ending a scope twice, or from another run, task or callback: -EINVAL, and nothing
 * changes. NULL does nothing. */
WEFT_API int weft_scope_end(struct weft_scope *scope);

/* For WEFT_SCOPE(). */
static inline void weft_scope_end_at_exit(struct weft_scope *scope)
{
    (void)weft_scope_end(scope);
}

/* A scope that lasts until the end of the enclosing block, however it is left. Its variable is named by the line, so
 * that blocks with scopes nest without one shadowing the other. */
#define WEFT_SCOPE()               WEFT_SCOPE_OF_LINE_(__LINE__)
#define WEFT_SCOPE_OF_LINE_(line_) WEFT_SCOPE_NAMED_(line_)
#define WEFT_SCOPE_NAMED_(line_)                                                                                       \
    struct weft_scope weft_scope_of_line_##line_##_ __attribute__((cleanup(weft_scope_end_at_exit)));                  \
    weft_scope_begin(&weft_scope_of_line_##line_##_)

/* ---- Capturing ---- */

/* The current context with one more reference, to be given back with weft_context_unref(). NULL at the root. */
WEFT_API struct weft_context *weft_capture(void);
WEFT_API struct weft_context *weft_context_ref(struct weft_context *context);   /* gives `context`; takes NULL */
WEFT_API struct weft_context *weft_context_unref(struct weft_context *context); /* gives NULL; takes NULL */

/* Calls fn(arg) in `context` (NULL: at the root) and gives its result. */
WEFT_API int weft_run_in(struct weft_context *context, int (*fn)(void *arg), void *arg);

/* A callback together with the context it is to run in; embed it in the record of a request or a subscription. */
struct weft_bound {
    int (*fn)(void *arg);
    void *arg;
    struct weft_context *context;
    uint64_t operation; /* for hooks: see <weft/hooks.h> */
};

/* Binds fn(arg) to the current context. */
WEFT_API void weft_bind(struct weft_bound *bound, int (*fn)(void *arg), void *arg);

/* Calls it in the context it was bound in and gives its result; may be called again. */
WEFT_API int weft_call(struct weft_bound *bound);

/* Calls it for the last time: the context is given back when it returns, even if `bound` stays allocated. */
WEFT_API int weft_call_once(struct weft_bound *bound);

/* Gives the context back without a call. Harmless when done twice. */
WEFT_API void weft_unbind(struct weft_bound *bound);

/* ---- Libraries ---- */

/* What a library starts for itself inside of a call, such as a pool of threads or a timer for its connections, serves
 * whoever comes, and so begins at the root: threads whose start routine, and, under weftd, events whose callback lies
 * in a shared object that is no plugin. These have those of a library followed all the same: by its path, or by the
 * name of its file, as libexample.so.1 or libexample. Under weftd the configuration does so (context.follow_threads_of
 * and context.follow_events_of). To be called before the library starts any. Errors: -EINVAL no name; -ENOMEM. */
WEFT_API int weft_follow_threads_of(const char *library);
WEFT_API int weft_follow_events_of(const char *library);

/* Contexts that are alive in this process now. */
WEFT_API long weft_contexts_alive(void);

WEFT_END_DECLS
