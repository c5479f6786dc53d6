/*
 * Operations behind <weft/hooks.h>: something that was scheduled inside a context and will run code in it. An operation
 * holds one reference to its context from its beginning to its end, and knows where it was begun and by which
 * operation.
 *
 * Begin, run and end an operation on one thread, or give OPERATION_ELSEWHERE when any other thread may run or end it.
 * Nothing here waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weft/hooks.h>

#include "context/current.h"

struct operation;
struct async_parent;

enum { OPERATION_DESCRIPTION_SIZE = 160 };

/* A kind of operations. */
struct operation_class {
    const char *kind; /* a literal: what <weft/hooks.h> calls it */
    /* Writes what the operation waits for, as "timer, 40 ms left" or "http GET localhost:8080"; NULL: the kind says it
     * all. `buffer` has OPERATION_DESCRIPTION_SIZE bytes. Only called on the operation's own thread, or, for
     * OPERATION_ELSEWHERE, under the lock of those. */
    void (*describe)(const struct operation *operation, char *buffer);
    /* For kinds that can tell by themselves when they began, and are begun with OPERATION_UNTIMED. */
    int64_t (*since_us)(const struct operation *operation);
};

enum operation_flags {
    OPERATION_ELSEWHERE = 1, /* any thread may end it */
    OPERATION_BORROWS = 2,   /* its context is held by something that lasts longer, such as a task that waits */
    OPERATION_UNTOLD = 4,    /* set by operation_begin(): hooks are not told of it */
    OPERATION_UNTIMED = 16,  /* told.since_us is 0 unless a hook is installed: see operation_since_us() */
    OPERATION_LENT = 8,      /* set by operation_enter_last(): its reference is the current state's */
};

/* Embedded in the record of whatever is scheduled; zero-initialised it has not begun. */
struct operation {
    struct weft_operation info;
    const struct operation_class *class;
    struct async_parent *parent; /* how the code that began it came to run */
    struct async_parent *self;   /* made when its code first begins an operation */
    LIST_ENTRY(operation) pending;
    uint8_t flags;
};

/* Begins it in the current context (which may be the root), for the call that returns to `place` (OPERATION_PLACE() in
 * a public function, or what the outermost wrapper was called from). */
void operation_begin(struct operation *operation, const struct operation_class *class, const void *place,
                     unsigned flags);

/* The same, in a context whose reference is taken over (NULL: the root), with a name (borrowed for as long as the
 * operation lasts; may be NULL). */
void operation_begin_in(struct operation *operation, const struct operation_class *class, const void *place,
                        unsigned flags, struct weft_context *context, const char *name);

/* Whether it has begun and not ended. */
static inline bool operation_is_pending(const struct operation *operation)
{
    return operation->class != NULL;
}

/* Makes the operation's context current, and the operation the one that is running; notes it as the running job, and
 * calls `before`. operation_leave() takes it back and calls `after`; the operation must not have ended meanwhile (hold
 * back its end: see propagate/libevent/event.c). */
void operation_enter(struct operation *operation, struct current *saved);

/* The same, for the last time, which spares a reference: after operation_leave() it must end. */
void operation_enter_last(struct operation *operation, struct current *saved);
void operation_leave(struct operation *operation, const struct current *saved);

/* For resuming a task, whose current state is its own: only the hooks, and the note of the running job. */
void operation_before(const struct operation *operation);
void operation_after(const struct operation *operation);

/* Has an operation that operation_enter_last() runs begin again where it was begun before: it goes on, in the current
 * context. Gives false, and does nothing, where that would be another operation. */
bool operation_renew(struct operation *operation, const void *place);

/* Ends it: calls `destroy`, gives back the context. Harmless where it has not begun or has ended. */
void operation_end(struct operation *operation);

/* Calls `visit` for every pending operation of this thread and all that are elsewhere, the newest first, until it gives
 * non-zero, which is then given. It must not begin or end any. */
int operation_each(int (*visit)(const struct operation *operation, void *arg), void *arg);

/* When it began, on CLOCK_MONOTONIC, to within a few milliseconds. */
int64_t operation_since_us(const struct operation *operation);

/* A number that no operation of this process has. */
uint64_t operation_next_id(void);

/* What it waits for, in words. `buffer` has OPERATION_DESCRIPTION_SIZE bytes. */
void operation_describe(const struct operation *operation, char *buffer);

/* As weft_async_stack(), for what led to an operation. */
size_t operation_stack(const struct operation *operation, char *buffer, size_t size);

/* One of the operations that led to the code that is running; borrowed. */
struct operation_link {
    const char *kind;
    const char *name; /* NULL or empty: none */
    const void *place;
};

/* Those operations, the latest first, at most `max`; gives their number. For crash records: may be called by a signal
 * handler, and follows pointers of the running operation only. */
size_t operation_links(struct operation_link *links, size_t max);

#define OPERATION_PLACE() __builtin_return_address(0)
