/* Buffers: their callbacks run in the context of the call that added them. */
#include <event2/buffer.h>
#include <event2/buffer_compat.h>

#include "context/container.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(buffers);

/* A callback of evbuffer_add_cb(), or of the older evbuffer_setcb(); filed under its buffer. */
struct watcher {
    struct registration registration;
    struct evbuffer_cb_entry *entry; /* NULL: of evbuffer_setcb() */
    evbuffer_cb_func callback;
    evbuffer_cb old_callback;
    void *arg;
};

static const struct operation_class watcher_class = {.kind = "buffer callback"};

/* Of a note under a buffer whose callbacks are run by a loop. */
static const struct operation_class deferral_class = {.kind = "buffer deferral"};

/* ---- In place of the user's callbacks ---- */

static void run_watcher(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct watcher *watcher = arg;
    struct current saved;

    registration_enter(&watcher->registration, &saved);
    watcher->callback(buffer, info, watcher->arg);
    registration_leave(&watcher->registration, &saved);
}

static void run_old_watcher(struct evbuffer *buffer, size_t old_length, size_t length, void *arg)
{
    struct watcher *watcher = arg;
    struct current saved;

    registration_enter(&watcher->registration, &saved);
    watcher->old_callback(buffer, old_length, length, watcher->arg);
    registration_leave(&watcher->registration, &saved);
}

/* ---- Adding ---- */

PROPAGATE_EXPORT struct evbuffer_cb_entry *evbuffer_add_cb(struct evbuffer *buffer, evbuffer_cb_func callback,
                                                           void *arg)
{
    struct watcher *watcher = NULL;

    if (!propagate_exempts((void *)callback))
        watcher = registration_new(sizeof(*watcher), &watcher_class, NULL, OPERATION_PLACE());
    if (!watcher)
        return REAL(evbuffer_add_cb)(buffer, callback, arg);

    watcher->callback = callback;
    watcher->arg = arg;
    watcher->entry = REAL(evbuffer_add_cb)(buffer, run_watcher, watcher);
    if (!watcher->entry) {
        registration_drop(&watcher->registration);
        return NULL;
    }
    registration_file(&watcher->registration, buffer);
    return watcher->entry;
}

/* Removes all that there are, and adds one. */
PROPAGATE_EXPORT int evbuffer_setcb(struct evbuffer *buffer, evbuffer_cb callback, void *arg)
{
    struct registration *removed = registration_take_all(buffer, &watcher_class);
    struct watcher *watcher = NULL;
    int r;

    if (!propagate_exempts((void *)callback))
        watcher = registration_new(sizeof(*watcher), &watcher_class, NULL, OPERATION_PLACE());
    if (watcher) {
        watcher->old_callback = callback;
        watcher->arg = arg;
        r = REAL(evbuffer_setcb)(buffer, run_old_watcher, watcher);
        if (r == 0)
            registration_file(&watcher->registration, buffer);
        else
            registration_drop(&watcher->registration);
    } else {
        r = REAL(evbuffer_setcb)(buffer, callback, arg);
    }
    registration_end_all(removed, registration_drop);
    return r;
}

/* ---- Removing ---- */

static bool has_entry(const struct registration *registration, const void *wanted)
{
    return container_of(registration, const struct watcher, registration)->entry == wanted;
}

static bool has_callback(const struct registration *registration, const void *wanted)
{
    const struct watcher *watcher = container_of(registration, const struct watcher, registration), *like = wanted;

    return watcher->entry && watcher->callback == like->callback && watcher->arg == like->arg;
}

PROPAGATE_EXPORT int evbuffer_remove_cb_entry(struct evbuffer *buffer, struct evbuffer_cb_entry *entry)
{
    struct registration *taken = registration_take(buffer, &watcher_class, has_entry, entry);
    int r = REAL(evbuffer_remove_cb_entry)(buffer, entry);

    registration_drop(taken);
    return r;
}

PROPAGATE_EXPORT int evbuffer_remove_cb(struct evbuffer *buffer, evbuffer_cb_func callback, void *arg)
{
    struct watcher like = {.callback = callback, .arg = arg};
    struct registration *taken = registration_take(buffer, &watcher_class, has_callback, &like);

    if (!taken)
        return REAL(evbuffer_remove_cb)(buffer, callback, arg);

    int r = REAL(evbuffer_remove_cb_entry)(buffer, container_of(taken, struct watcher, registration)->entry);
    registration_drop(taken);
    return r;
}

/* ---- Buffers whose callbacks are put off ---- */

PROPAGATE_EXPORT int evbuffer_defer_callbacks(struct evbuffer *buffer, struct event_base *base)
{
    struct registration *note = registration_new_note(&deferral_class, base);
    int r = REAL(evbuffer_defer_callbacks)(buffer, base);

    registration_end_all(registration_take_all(buffer, &deferral_class), registration_unref);
    if (note)
        registration_file(note, buffer);
    return r;
}

/* What a loop has been asked to call is called after the buffer has been freed, too. */
static void end_watchers(struct registration *watchers, struct registration *deferral)
{
    if (!deferral) {
        registration_end_all(watchers, registration_drop);
        return;
    }
    for (struct registration *watcher = watchers; watcher; watcher = watcher->next)
        watcher->base = deferral->base;
    registration_end_all(watchers, registration_retire);
    registration_unref(deferral);
}

PROPAGATE_EXPORT void evbuffer_free(struct evbuffer *buffer)
{
    struct registration *watchers = registration_take_all(buffer, &watcher_class);
    struct registration *deferral = registration_take(buffer, &deferral_class, NULL, NULL);

    REAL(evbuffer_free)(buffer);
    end_watchers(watchers, deferral);
}
