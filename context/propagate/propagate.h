/*
 * Propagation: how contexts get through libraries that know nothing of them. The files of this folder define functions
 * of libevent, hiredis and libc; being part of the executable, they are found before the libraries' own, for the
 * libraries' inner calls as well. Each does what the library's own does, and sees to it that what is scheduled in a
 * context runs in that context.
 *
 * Code at the root passes straight on. So do callbacks of infrastructure: libevent's own, and those of what
 * propagate_exempt() was told of; only callbacks that users wrote are followed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "context/async/operation.h"
#include "context/propagate/at_root.h"

/* The wrappers are found by the dynamic linker. */
#define PROPAGATE_EXPORT __attribute__((visibility("default")))

/* The library's own function of that name: the next in the search order, or one of a library that was loaded later and
 * for its loader only. Aborts with a sentence where there is none, as the dynamic linker would have. */
void *propagate_real(const char *name);

/* Whether there is one. */
bool propagate_has(const char *name);

/* Declares and looks up, once, the real function behind a wrapper: REAL(event_add)(event, timeout). */
#define REAL(function_)                                                                                                \
    ({                                                                                                                 \
        static __typeof__(&(function_)) real_;                                                                         \
        __typeof__(&(function_)) found_ = __atomic_load_n(&real_, __ATOMIC_RELAXED);                                   \
        if (__builtin_expect(!found_, 0)) {                                                                            \
            found_ = (__typeof__(&(function_)))propagate_real(#function_);                                             \
            __atomic_store_n(&real_, found_, __ATOMIC_RELAXED);                                                        \
        }                                                                                                              \
        found_;                                                                                                        \
    })

/* Whether a callback is infrastructure's, which runs at the root whoever scheduled it. NULL is. */
bool propagate_exempts(const void *callback);

/* From now on all callbacks in the executable or shared object that `address` is in are infrastructure's. */
void propagate_exempt(const void *address);

/* The object that `address` is in is a plugin: its threads and events are followed, and whatever is neither a plugin
 * nor the executable is a library from now on. Errors: -ENOMEM. */
int propagate_adopt_plugin(const void *address) WEFT_MUST_CHECK;

/* Whether the address is in a plugin, or, where none is known, in the executable. */
bool propagate_is_plugins(const void *address);

/* Some shared object may have been unloaded: what is known of it is not true of another one at its address. */
void propagate_forget_unloaded(void);

/* dlclose() of libc, for a handle that keeps nothing loaded. */
void propagate_close(void *library);

/* Whether anything that is scheduled now may have to be followed. */
static inline bool propagate_may_follow(void)
{
    return current_state.context || at_root_is_watched;
}

/* Whether what is scheduled now is to be followed: inside a context, for a callback that is not exempt. */
static inline bool propagate_follows(const void *callback)
{
    return propagate_may_follow() && !propagate_exempts(callback);
}

/* The same for a thread that is to run start(arg). What a library starts for itself belongs to nobody: only threads
 * that begin in the executable, in a plugin, or in a library that was named are followed. One that begins in the C++
 * runtime is whose code it runs. */
bool propagate_follows_thread(const void *start, void *arg);

/* The same for an event; what is no plugin is a library only where plugins are known. */
bool propagate_follows_event(const void *callback);

/* While code of a library runs inside of a wrapper, at the root, what it schedules is its own. Between the two calls
 * the thread has no context. */
void propagate_suspend(struct current *saved);
void propagate_resume(const struct current *saved);

/* libevent's own functions, for events of weft's own that must not be followed whoever adds them. */
int propagate_event_add(struct event *event, const struct timeval *timeout);
int propagate_event_del(struct event *event);

/* The one base of a program in libevent's older style, or NULL. */
struct event_base *propagate_global_base(void);
