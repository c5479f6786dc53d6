/*
 * Wrapped callbacks: callbacks of users that a library keeps, for a bufferevent, a buffer, a request or a listener, and
 * the context that each was registered in. The library is given a function of weft's in place of the user's, and the
 * wrapped callback as its argument.
 *
 * A callback that was registered at the root has a record as well where code inside a context can make the
 * library call it at once: that is how it comes to run at the root even then. It is no operation, and nobody is told of
 * it.
 */
#pragma once

#include <stdatomic.h>

#include "context/propagate/base_home.h"
#include "context/propagate/propagate.h"

/* Embedded first in the record of each kind of callback. */
struct wrapped_callback {
    struct operation operation; /* has begun, unless it was registered at the root */
    const struct operation_class *class;
    struct event_base *base;       /* whose loop calls it; NULL: any code may, on any thread */
    const void *object;            /* what it is filed under; NULL: nothing */
    struct wrapped_callback *next; /* in its file, or in a list that wrapped_callback_take_all() made */
    struct wrapped_callback **place;
    atomic_uint references; /* the library's, and one for each call that has not returned */
};

/* Allocates `size` bytes for a record that begins with a wrapped callback, zeroed, and begins its operation if there is
 * a context. The caller, and then the library, holds the one reference. NULL where there is no memory: the library is
 * to be given the user's callback as it is. */
void *wrapped_callback_new(size_t size, const struct operation_class *class, struct event_base *base,
                           const void *place);

/* The same in two steps, so that what describes it is there before anybody can look at it. */
void *wrapped_callback_allocate(size_t size, const struct operation_class *class, struct event_base *base);
void wrapped_callback_begin(struct wrapped_callback *wrapped, const void *place);

/* A record without a callback, of which only the class and the base count. NULL where there is no memory. */
struct wrapped_callback *wrapped_callback_new_note(const struct operation_class *class, struct event_base *base);

/* Around the user's callback, which may drop the wrapped callback. */
void wrapped_callback_enter(struct wrapped_callback *wrapped, struct current *saved);
void wrapped_callback_leave(struct wrapped_callback *wrapped, const struct current *saved);

/* To use one that a callback, or another thread, may drop meanwhile. */
struct wrapped_callback *wrapped_callback_ref(struct wrapped_callback *wrapped);
void wrapped_callback_unref(struct wrapped_callback *wrapped);

/* The library does not call it any more, and it is in no file: gives the context back as soon as all calls have
 * returned. Where the loop is another thread's, it is that thread which does so. Takes NULL. */
void wrapped_callback_drop(struct wrapped_callback *wrapped);

/* As wrapped_callback_drop(), but the library may still call it for what is in the queue of the base's loop by now. It
 * is dropped when the loop has run that, or when the base is freed. */
void wrapped_callback_retire(struct wrapped_callback *wrapped);

/* ---- Files: which wrapped callbacks were made for an object of the library ---- */

/* Files a wrapped callback under an object. */
void wrapped_callback_file(struct wrapped_callback *wrapped, const void *object);

/* The newest wrapped callback of that class under the object, with a reference; NULL: there is none. */
struct wrapped_callback *wrapped_callback_find(const void *object, const struct operation_class *class);

/* Takes the newest one for which `matches` (NULL: any does) gives true out of its file, and gives it; NULL: there is
 * none. */
struct wrapped_callback *wrapped_callback_take(const void *object, const struct operation_class *class,
                                               bool (*matches)(const struct wrapped_callback *wrapped,
                                                               const void *wanted),
                                               const void *wanted);

/* Takes this one out; false: somebody else has, and will end it. */
bool wrapped_callback_take_this(struct wrapped_callback *wrapped, const void *object);

/* Takes all out, as a list linked by `next`. What is about to be freed loses its wrapped callbacks first, since another
 * object may have its address as soon as it is gone. */
struct wrapped_callback *wrapped_callback_take_all(const void *object, const struct operation_class *class);

/* Calls one of the functions above for each of a list. */
void wrapped_callback_end_all(struct wrapped_callback *list, void (*end)(struct wrapped_callback *wrapped));

/* Calls free_base(base), and drops what was retired to that base. */
void wrapped_callback_free_base(struct event_base *base, void (*free_base)(struct event_base *base));
