/*
 * Operations behind <weft/hooks.h>: something that was scheduled inside a context and will run code in it. An operation
 * holds one reference to its context from its beginning to its end, and knows where it was begun and by which
 * operation.
 *
 * While it is pending it is in a home: that of its thread, that which all threads share, or that of the event base
 * whose loop will run it. The home decides who may touch it: its thread only, or whoever holds its lock. Nothing here
 * waits.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weft/hooks.h>

#include "context/current.h"
#include "context/lock.h"

struct operation;
struct async_parent;

enum { OPERATION_DESCRIPTION_SIZE = 160 };

/* A kind of operations. */
struct operation_class {
    const char *kind; /* a literal: what <weft/hooks.h> calls it */
    /* Writes what the operation waits for, as "timer, 40 ms left" or "http GET localhost:8080"; NULL: the kind says it
     * all. `buffer` has OPERATION_DESCRIPTION_SIZE bytes. Called with the operation's home
     * in hand, on its thread or under its lock: see operation_is_here(). */
    void (*describe)(const struct operation *operation, char *buffer);
    /* The users' function that it calls, to be named; NULL: that is not known. */
    const void *(*callback)(const struct operation *operation);
    /* For kinds that can tell by themselves when they began: no clock is read for them unless a hook is installed. */
    int64_t (*since_us)(const struct operation *operation);
};

/* ---- Homes ---- */

struct operation_home {
    LIST_HEAD(operation_list, operation) pending; /* the newest first */
    /* The thread that touches it without the lock, as operation_this_thread() gives it; NULL: whoever holds the lock
     * may. Changed by operation_home_take() and _give() only. */
    const void *thread;
    pthread_mutex_t *lock; /* one of a few that homes share: never hold two */
    LIST_ENTRY(operation_home) homes;
};

/* That of operations which any thread may begin, run and end, and which belong to no base. */
extern struct operation_home operation_home_shared;

/* A home that is kept by its lock. It must stay where it is until operation_home_done(), when it is empty. */
void operation_home_init(struct operation_home *home);
void operation_home_done(struct operation_home *home);

/* Moves what a home has that is kept by its lock to that which all threads share. */
void operation_home_move(struct operation_home *home);

/* From now on this thread keeps it; from now on its lock does. Both with the lock held. */
void operation_home_take(struct operation_home *home);
void operation_home_give(struct operation_home *home);

static inline void operation_home_lock(struct operation_home *home)
{
    lock_take(home->lock);
}

static inline void operation_home_unlock(struct operation_home *home)
{
    lock_give(home->lock);
}

/* What tells threads apart. A fiber never moves to another one. */
extern _Thread_local struct operation_home operation_home_of_thread;

static inline const void *operation_this_thread(void)
{
    return &operation_home_of_thread;
}

/* Whether this thread keeps it. No other can make that true or false. */
static inline bool operation_home_is_here(const struct operation_home *home)
{
    return __atomic_load_n(&home->thread, __ATOMIC_RELAXED) == operation_this_thread() ||
           home == &operation_home_of_thread;
}

/* ---- Operations ---- */

/* How one is begun. */
enum operation_flags {
    OPERATION_ELSEWHERE = 1, /* any thread may end it */
    OPERATION_BORROWS = 2,   /* its context is held by something that lasts longer, such as a task that waits */
};

/* Whose the reference to its context is. */
enum operation_hold {
    OPERATION_HOLDS,         /* its own */
    OPERATION_HOLDS_NOTHING, /* somebody else's who lasts longer: OPERATION_BORROWS */
    OPERATION_HAS_LENT,      /* the code's that it runs for the last time */
    OPERATION_HOLDS_LAST,    /* its own again: that code has returned, and it is about to end */
};

/* Embedded in the record of whatever is scheduled; zero-initialised it has not begun. */
struct operation {
    struct weft_operation info;
    const struct operation_class *class;
    struct async_parent *parent; /* how the code that began it came to run */
    struct async_parent *self;   /* made when its code first begins an operation */
    struct operation_home *home;
    LIST_ENTRY(operation) pending;
    enum operation_hold hold : 8; /* changed by operation_hold() only */
    bool is_told;                 /* to hooks: it was not one of them that began it */
};

/* Begins it in the current context (which may be the root), for the call that returns to `place` (OPERATION_PLACE() in
 * a public function, or what the outermost wrapper was called from). */
void operation_begin(struct operation *operation, const struct operation_class *class, const void *place,
                     unsigned flags);

/* The same, in a home of the caller's. */
void operation_begin_at(struct operation *operation, const struct operation_class *class, const void *place,
                        struct operation_home *home);

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

/* The same, for the last time, which spares a reference where no other thread can look at the operation: after
 * operation_leave() it must end. */
void operation_enter_last(struct operation *operation, struct current *saved);
void operation_leave(struct operation *operation, const struct current *saved);

/* Has `watch` called before the code of an operation runs at the root, on any thread. To be called before there are
 * operations. */
void operation_watch_root(void (*watch)(const struct operation *operation));

/* For resuming a task, whose current state is its own: only the hooks, and the note of the running job. */
void operation_before(const struct operation *operation);
void operation_after(const struct operation *operation);

/* Has an operation that operation_enter_last() has entered begin again where it was begun before: it goes on, in the
 * current context. Gives false, and does nothing, where that would be another operation. */
bool operation_renew(struct operation *operation, const void *place);

/* Ends it: calls `destroy`, gives back the context. Harmless where it has not begun or has ended. */
void operation_end(struct operation *operation);

/* Calls `visit` for every pending operation that this thread may look at, which is all but those of loops that other
 * threads run without libevent's locking; in each home the newest first, until it gives non-zero, which is then given.
 * It must not begin or end any. */
int operation_each(int (*visit)(const struct operation *operation, void *arg), void *arg);

/* Whether this thread alone may touch it: then what it is about does not change meanwhile. */
static inline bool operation_is_here(const struct operation *operation)
{
    return operation_home_is_here(operation->home);
}

/* Code that an operation runs for the last time has another frame from now on: the one that was lent may be gone. */
void operation_follow_lent(struct operation *operation, struct weft_context *context);

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
