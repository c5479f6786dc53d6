/*
 * What is current on this thread: the frame, and the scopes that are open in it. Whoever runs other people's code (a
 * run, a task, a callback, a pool thread) enters before and leaves after, so that nothing that code does to the context
 * gets out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <weft/context.h>

#include "context/frame.h"

struct operation;

/* A run or a scope that is open. Not on the stack of whoever began it, since longjmp() may leave that. */
struct current_scope {
    struct current_scope *outer;
    struct weft_context *saved;
    uint64_t serial; /* CURRENT_RUN: a run */
    unsigned rights; /* as they were outside */
    uint8_t place;
};

/* What code may do to the current context. Below these bits is a count of scopes that could not be made: until they
 * end, nothing may be set, since nothing would take it back. */
#define CURRENT_READS       0u          /* outside of every run, task and callback */
#define CURRENT_WRITES      0x80000000u /* inside of one */
#define CURRENT_WRITES_LENT 0xc0000000u /* the reference is its operation's, which is told of each change */
#define CURRENT_SEALED      0x3fffffffu

/* Where it is: the first few of a thread cost no allocation. */
enum { CURRENT_AT_HAND, CURRENT_ON_HEAP, CURRENT_ON_STACK };

/* In place of the serial of a scope. */
#define CURRENT_RUN 0

struct current {
    struct weft_context *context; /* one reference */
    struct operation *operation;  /* whose code is running; NULL: none's */
    struct current_scope *scopes; /* and runs, innermost first */
    unsigned rights;              /* CURRENT_READS and so on */
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
    current_state.rights = CURRENT_WRITES;
}

/* The same, for code that is part of what runs already. */
static inline void current_enter(struct current *saved, struct weft_context *context)
{
    current_enter_operation(saved, context, current_state.operation);
}

/* The next of this thread's runs and scopes that are not open, linked by `outer`; NULL: current_more_scopes() has to be
 * asked for one. */
extern _Thread_local struct current_scope *current_idle_scopes;

/* NULL: there is no memory. */
struct current_scope *current_more_scopes(void);

/* Ends the innermost scope or run. */
static inline void current_pop_scope(void)
{
    struct current_scope *scope = current_state.scopes;
    struct weft_context *inner = current_state.context;

    current_state.context = scope->saved;
    current_state.scopes = scope->outer;
    current_state.rights = scope->rights;
    if (__builtin_expect(scope->place == CURRENT_AT_HAND, 1)) {
        scope->outer = current_idle_scopes;
        current_idle_scopes = scope;
    } else if (scope->place == CURRENT_ON_HEAP) {
        free(scope);
    }
    frame_unref(inner);
}

/* `saved`: a reference that is taken over. */
static inline void current_push_scope(struct current_scope *scope, struct weft_context *saved, uint64_t serial)
{
    scope->outer = current_state.scopes;
    scope->saved = saved;
    scope->serial = serial;
    scope->rights = current_state.rights;
    current_state.scopes = scope;
    current_state.rights = CURRENT_WRITES | (current_state.rights & CURRENT_SEALED);
}

/* NULL: there is no memory. */
static inline struct current_scope *current_new_scope(void)
{
    struct current_scope *scope = current_idle_scopes;

    if (__builtin_expect(!scope, 0))
        return current_more_scopes();
    current_idle_scopes = scope->outer;
    return scope;
}

/* Begins a run in `context`, a reference that is taken over. `spare`, which must live as long, is used where there is
 * no memory. To be ended, however the code of the run is left, by
 *
 *     struct current_scope *run CURRENT_RUN_ENDS = current_begin_run(...);
 *
 * in a file that is compiled with -fexceptions. */
static inline struct current_scope *current_begin_run(struct weft_context *context, struct current_scope *spare)
{
    struct current_scope *run = current_new_scope();

    if (__builtin_expect(!run, 0)) {
        run = spare;
        run->place = CURRENT_ON_STACK;
    }
    current_push_scope(run, current_state.context, CURRENT_RUN);
    current_state.context = context;
    current_state.rights = CURRENT_WRITES;
    return run;
}

/* Ends all that was begun inside of `outermost` (NULL: of what is current), with a warning. */
void current_end_forgotten(const struct current_scope *outermost);

/* Ends a run, and what was begun in it and not ended, of which it warns. */
static inline void current_end_run(struct current_scope **run)
{
    if (__builtin_expect(current_state.scopes != *run, 0))
        current_end_forgotten(*run);
    current_pop_scope();
}

#define CURRENT_RUN_ENDS __attribute__((unused, cleanup(current_end_run)))

/* Ends what current_enter() began: scopes left open are ended, `saved` is current, and the reference to the context
 * that was is given to the caller. */
static inline struct weft_context *current_leave_with(const struct current *saved)
{
    if (__builtin_expect(current_state.scopes != NULL, 0))
        current_end_forgotten(NULL);

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
