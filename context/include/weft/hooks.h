/*
 * Hooks: being told of every asynchronous operation that a context follows. For observers: profilers, tests, tools that
 * show what a program waits for.
 *
 * An operation begins when code inside a context schedules something (a timer, a descriptor, a task, a request, a
 * thread, a child process), runs code zero or more times, and ends when it can run none any more. What is scheduled at
 * the root is followed by nobody and no operation.
 *
 * While no hook is installed, an operation pays one branch for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <weft/api.h>

WEFT_BEGIN_DECLS

struct weft_context;

/* An operation, as hooks are told of it. Borrowed: valid during the hook's call. */
struct weft_operation {
    uint64_t id;                  /* of this operation only, in this process */
    uint64_t trigger;             /* of the operation that was running when this one began; 0: none */
    const char *kind;             /* a literal: "task", "sleep", "fd", "timer", "event", "http", "thread", ... */
    const char *name;             /* a task's name; else NULL */
    const void *place;            /* the address that the call which began it returns to, for dladdr() */
    int64_t since_us;             /* when it began, on CLOCK_MONOTONIC, to within a few milliseconds */
    struct weft_context *context; /* what its code runs in; borrowed */
};

/* An observer, in its owner's memory, which must stay until it is removed. Any of the functions may be NULL. They are
 * called on the thread that the operation is on, in the operation's own context.
 *
 * A hook may read the context, log, and add or remove hooks, which takes effect from the next call on. What it
 * schedules itself is not observed: hooks are never called from inside a hook. It must not wait. */
struct weft_hook {
    void (*init)(const struct weft_operation *operation, void *user);    /* it has begun */
    void (*before)(const struct weft_operation *operation, void *user);  /* its code is about to run */
    void (*after)(const struct weft_operation *operation, void *user);   /* its code has run */
    void (*destroy)(const struct weft_operation *operation, void *user); /* it has ended: once, and after `after` */
    void *user;
    struct weft_hook *next; /* this and the following are weft's own */
    uint64_t serial;
};

/* Installs a hook for this process, behind those that there are. Does nothing to one that is installed. Of operations
 * that had begun before, it is told the rest. */
WEFT_API void weft_hook_add(struct weft_hook *hook);

/* Removes it: no call of it begins any more. One that has begun on another thread may still be running. Does nothing to
 * one that is not installed. */
WEFT_API void weft_hook_remove(struct weft_hook *hook);

/* The operation whose code is running, or 0. */
WEFT_API uint64_t weft_operation_current(void);

/* Writes how the code that is running came to run, the latest first, as
 * "timer at send_mail (mail.c:40), started by task audit at load_profile (profile.c:17)", cut to `size` bytes with
 * the NUL. Gives the length of the whole; 0: nothing asynchronous led here. */
WEFT_API size_t weft_async_stack(char *buffer, size_t size);

WEFT_END_DECLS
