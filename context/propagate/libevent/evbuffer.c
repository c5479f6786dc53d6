/* Buffers: their callbacks run in the context of the call that added them. */
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/buffer_compat.h>
#include <event2/bufferevent.h>

#include "context/container.h"
#include "context/propagate/libevent/evbuffer.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(buffers);

/* A callback of evbuffer_add_cb(), or of the older evbuffer_setcb(); filed under its buffer. */
struct watcher {
    struct wrapped_callback wrapped;
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

    wrapped_callback_enter(&watcher->wrapped, &saved);
    watcher->callback(buffer, info, watcher->arg);
    wrapped_callback_leave(&watcher->wrapped, &saved);
}

static void run_old_watcher(struct evbuffer *buffer, size_t old_length, size_t length, void *arg)
{
    struct watcher *watcher = arg;
    struct current saved;

    wrapped_callback_enter(&watcher->wrapped, &saved);
    watcher->old_callback(buffer, old_length, length, watcher->arg);
    wrapped_callback_leave(&watcher->wrapped, &saved);
}

/* ---- Adding ---- */

PROPAGATE_EXPORT struct evbuffer_cb_entry *evbuffer_add_cb(struct evbuffer *buffer, evbuffer_cb_func callback,
                                                           void *arg)
{
    struct watcher *watcher = NULL;

    if (!propagate_exempts((void *)callback))
        watcher = wrapped_callback_new(sizeof(*watcher), &watcher_class, NULL, OPERATION_PLACE());
    if (!watcher)
        return REAL(evbuffer_add_cb)(buffer, callback, arg);

    watcher->callback = callback;
    watcher->arg = arg;
    watcher->entry = REAL(evbuffer_add_cb)(buffer, run_watcher, watcher);
    if (!watcher->entry) {
        wrapped_callback_drop(&watcher->wrapped);
        return NULL;
    }
    wrapped_callback_file(&watcher->wrapped, buffer);
    return watcher->entry;
}

/* Removes all that there are, and adds one. */
PROPAGATE_EXPORT int evbuffer_setcb(struct evbuffer *buffer, evbuffer_cb callback, void *arg)
{
    struct wrapped_callback *removed = wrapped_callback_take_all(buffer, &watcher_class);
    struct watcher *watcher = NULL;
    int r;

    if (!propagate_exempts((void *)callback))
        watcher = wrapped_callback_new(sizeof(*watcher), &watcher_class, NULL, OPERATION_PLACE());
    if (watcher) {
        watcher->old_callback = callback;
        watcher->arg = arg;
        r = REAL(evbuffer_setcb)(buffer, run_old_watcher, watcher);
        if (r == 0)
            wrapped_callback_file(&watcher->wrapped, buffer);
        else
            wrapped_callback_drop(&watcher->wrapped);
    } else {
        r = REAL(evbuffer_setcb)(buffer, callback, arg);
    }
    wrapped_callback_end_all(removed, wrapped_callback_drop);
    return r;
}

/* ---- Removing ---- */

static bool has_entry(const struct wrapped_callback *wrapped, const void *wanted)
{
    return container_of(wrapped, const struct watcher, wrapped)->entry == wanted;
}

static bool has_callback(const struct wrapped_callback *wrapped, const void *wanted)
{
    const struct watcher *watcher = container_of(wrapped, const struct watcher, wrapped), *like = wanted;

    return watcher->entry && watcher->callback == like->callback && watcher->arg == like->arg;
}

PROPAGATE_EXPORT int evbuffer_remove_cb_entry(struct evbuffer *buffer, struct evbuffer_cb_entry *entry)
{
    struct wrapped_callback *taken = wrapped_callback_take(buffer, &watcher_class, has_entry, entry);
    int r = REAL(evbuffer_remove_cb_entry)(buffer, entry);

    wrapped_callback_drop(taken);
    return r;
}

PROPAGATE_EXPORT int evbuffer_remove_cb(struct evbuffer *buffer, evbuffer_cb_func callback, void *arg)
{
    struct watcher like = {.callback = callback, .arg = arg};
    struct wrapped_callback *taken = wrapped_callback_take(buffer, &watcher_class, has_callback, &like);

    if (!taken)
        return REAL(evbuffer_remove_cb)(buffer, callback, arg);

    int r = REAL(evbuffer_remove_cb_entry)(buffer, container_of(taken, struct watcher, wrapped)->entry);
    wrapped_callback_drop(taken);
    return r;
}

/* ---- Buffers whose callbacks are put off ---- */

PROPAGATE_EXPORT int evbuffer_defer_callbacks(struct evbuffer *buffer, struct event_base *base)
{
    struct wrapped_callback *note = wrapped_callback_new_note(&deferral_class, base);
    int r = REAL(evbuffer_defer_callbacks)(buffer, base);

    wrapped_callback_end_all(wrapped_callback_take_all(buffer, &deferral_class), wrapped_callback_unref);
    if (note)
        wrapped_callback_file(note, buffer);
    return r;
}

PROPAGATE_EXPORT void evbuffer_free(struct evbuffer *buffer)
{
    struct wrapped_callback *watchers = wrapped_callback_take_all(buffer, &watcher_class);
    struct wrapped_callback *deferral = wrapped_callback_take(buffer, &deferral_class, NULL, NULL);

    REAL(evbuffer_free)(buffer);
    if (!deferral) {
        wrapped_callback_end_all(watchers, wrapped_callback_drop);
        return;
    }
    /* What a loop has been asked to call is called after the buffer has been freed, too. */
    for (struct wrapped_callback *watcher = watchers; watcher; watcher = watcher->next)
        watcher->base = deferral->base;
    wrapped_callback_end_all(watchers, wrapped_callback_retire);
    wrapped_callback_unref(deferral);
}

/* ---- The buffers of a bufferevent ---- */

/* libevent frees them by inner calls, when the last reference to the bufferevent is gone. Until the loop has called
 * what was put off, the bufferevent is kept; then nothing calls the watchers any more. Filed under the base. */
struct farewell {
    struct wrapped_callback note;
    struct bufferevent *bufferevent;
    struct wrapped_callback *watchers[2]; /* of the input and the output */
};

static const struct operation_class farewell_class = {.kind = "buffer farewell"};

static void end_watchers(struct evbuffer *buffer, struct wrapped_callback *watchers)
{
    while (watchers) {
        struct watcher *watcher = container_of(watchers, struct watcher, wrapped);

        watchers = watchers->next;
        if (watcher->entry)
            (void)REAL(evbuffer_remove_cb_entry)(buffer, watcher->entry);
        else
            (void)REAL(evbuffer_setcb)(buffer, NULL, NULL);
        wrapped_callback_unref(&watcher->wrapped);
    }
}

static void say_farewell(struct wrapped_callback *note)
{
    struct farewell *farewell = container_of(note, struct farewell, note);
    struct bufferevent *bufferevent = farewell->bufferevent;

    end_watchers(REAL(bufferevent_get_input)(bufferevent), farewell->watchers[0]);
    end_watchers(REAL(bufferevent_get_output)(bufferevent), farewell->watchers[1]);
    (void)REAL(bufferevent_decref)(bufferevent);
    wrapped_callback_unref(note);
}

static void run_farewell(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_callback *note = arg;

    (void)fd;
    (void)what;
    if (wrapped_callback_take_this(note, note->base))
        say_farewell(note);
}

void buffers_forget(struct bufferevent *bufferevent)
{
    /* Behind what libevent has put off until the loop's next turn. */
    static const struct timeval next_turn = {.tv_usec = 1};
    struct evbuffer *buffers[] = {REAL(bufferevent_get_input)(bufferevent), REAL(bufferevent_get_output)(bufferevent)};
    struct event_base *base = REAL(bufferevent_get_base)(bufferevent);
    struct wrapped_callback *watchers[2];

    for (size_t i = 0; i < 2; i++) {
        watchers[i] = wrapped_callback_take_all(buffers[i], &watcher_class);
        wrapped_callback_end_all(wrapped_callback_take_all(buffers[i], &deferral_class), wrapped_callback_unref);
    }
    if (!watchers[0] && !watchers[1])
        return;
    struct farewell *farewell = wrapped_callback_allocate(sizeof(*farewell), &farewell_class, base);
    if (!farewell) {
        for (size_t i = 0; i < 2; i++)
            end_watchers(buffers[i], watchers[i]);
        return;
    }
    REAL(bufferevent_incref)(bufferevent);
    farewell->bufferevent = bufferevent;
    farewell->watchers[0] = watchers[0];
    farewell->watchers[1] = watchers[1];
    const struct base_home *home = base ? base_home_find(base) : NULL;
    if (!base || (home && base_home_has_ended(home))) {
        say_farewell(&farewell->note);
        return;
    }
    wrapped_callback_file(&farewell->note, base);
    /* If that fails for want of memory, it is said at the end of the base. */
    (void)REAL(event_base_once)(base, -1, EV_TIMEOUT, run_farewell, &farewell->note, &next_turn);
}

void buffers_forget_base(const struct event_base *base)
{
    wrapped_callback_end_all(wrapped_callback_take_all(base, &farewell_class), say_farewell);
}
