/*
 * What is current on this thread: the frame, and the scopes that are open in it. Whoever runs other people's code (a
 * run, a task, a callback, a pool thread) enters before and leaves after, so that nothing that code does to the context
 * gets out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <weft/context.h>

struct current_scope;
struct operation;

struct current {
    struct weft_context *context; /* one reference */
    struct operation *operation;  /* whose code is running; NULL: none's */
    struct current_scope *scopes; /* innermost first */
    unsigned sealed;              /* scopes that could not be made: until they end, nothing may be set */
    bool writable;                /* inside a run, task or callback */
};

/* The state of this thread. A fiber never moves to another thread, so its address may be kept across switches. */
extern _Thread_local struct current current_state;

/* Makes `context`, a reference that is taken over, current, and remembers in `saved` what was. */
void current_enter(struct current *saved, struct weft_context *context);

/* The same, for code that `operation` runs. */
void current_enter_operation(struct current *saved, struct weft_context *context, struct operation *operation);

/* Ends what current_enter() began: scopes left open are closed (and warned of), the context is given back, `saved` is
 * current. */
void current_leave(const struct current *saved);

/* The same, but gives the reference to the context that was current to the caller. */
struct weft_context *current_leave_with(const struct current *saved) WEFT_MUST_CHECK;

/* The state of a new task, which is `operation`: `context` is a reference that is taken over. */
struct current current_fresh(struct weft_context *context, struct operation *operation);

/* Calls a function that releases something: it is code of its own and runs at the root, whatever context let go last.
 */
void current_release(void (*release)(void *pointer), void *pointer);

/* Sets one of weft's own values, which weft_set() refuses, in the current context; a NULL value unsets. Errors as
 * weft_set(). */
int current_set_own(const char *name, const char *value);
