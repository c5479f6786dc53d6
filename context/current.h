/*
 * What is current on this thread: the frame, and the scopes that are open in it. Whoever runs other people's code (a
 * run, a task, a callback, a pool thread) enters before and leaves after, so that nothing that code does to the context
 * gets out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <weft/context.h>

#include "context/frame.h"

struct current_scope;
struct operation;

/* What code may do to the current context. */
enum current_rights {
    CURRENT_READS,       /* outside of every run, task and callback */
    CURRENT_WRITES,      /* inside of one */
    CURRENT_WRITES_LENT, /* the reference is its operation's, which is told of each change */
};

struct current {
    struct weft_context *context; /* one reference */
    struct operation *operation;  /* whose code is running; NULL: none's */
    struct current_scope *scopes; /* innermost first */
    unsigned sealed;              /* scopes that could not be made: until they end, nothing may be set */
    enum current_rights rights;
};

/* The state of this thread. A fiber never moves to another thread, so its address may be kept across switches. */
extern _Thread_local struct current current_state;

/* The state of a new task, which is `operation`: `context` is a reference that is taken over. */
static inline struct current current_fresh(struct weft_context *context, struct operation *operation)
{
    return (struct current){.context = context, .operation = operation, .rights = CURRENT_WRITES};
}

/* Field by field: as one block it would be read in other pieces than it has just been written in, which makes a
 * processor wait for its own stores. */
static inline void current_copy(struct current *to, const struct current *from)
{
    to->context = from->context;
    to->operation = from->operation;
    to->scopes = from->scopes;
    to->sealed = from->sealed;
    to->rights = from->rights;
}

/* Makes `context`, a reference that is taken over, current for code that `operation` runs, and remembers in `saved`
 * what was. */
static inline void current_enter_operation(struct current *saved, struct weft_context *context,
                                           struct operation *operation)
{
    current_copy(saved, &current_state);
    current_state.context = context;
    current_state.operation = operation;
    current_state.scopes = NULL;
    current_state.sealed = 0;
    current_state.rights = CURRENT_WRITES;
}

/* The same, for code that is part of what runs already. */
static inline void current_enter(struct current *saved, struct weft_context *context)
{
    current_enter_operation(saved, context, current_state.operation);
}

/* Ends scopes that were left open, with a warning. */
void current_end_scopes(void);

/* Ends what current_enter() began: scopes left open are ended, `saved` is current, and the reference to the context
 * that was is given to the caller. */
static inline struct weft_context *current_leave_with(const struct current *saved)
{
    if (__builtin_expect(current_state.scopes != NULL, 0))
        current_end_scopes();

    struct weft_context *inner = current_state.context;
    current_copy(&current_state, saved);
    return inner;
}

/* The same, and gives the reference back. */
static inline void current_leave(const struct current *saved)
{
    frame_unref(current_leave_with(saved));
}

/* Calls a function that releases something: it is code of its own and runs at the root, whatever context let go last.
 */
void current_release(void (*release)(void *pointer), void *pointer);

/* Another literal may be at the address of one that was seen: what weft_get() remembers is forgotten, on all threads.
 */
void current_forget_literals(void);

/* Sets one of weft's own values, which weft_set() refuses, in the current context; a NULL value unsets. Errors as
 * weft_set(). */
int current_set_own(const char *name, const char *value);
