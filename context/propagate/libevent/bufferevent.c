/* Bufferevents: their callbacks run in the context of the bufferevent_setcb() that set them. */
#include <stdio.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>

#include "context/container.h"
#include "context/propagate/libevent/bufferevent.h"
#include "context/propagate/libevent/evbuffer.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(bufferevents);

struct callbacks {
    struct wrapped_callback wrapped;
    _Atomic(struct bufferevent *) bufferevent; /* NULL: it has others by now, or is freed */
    evutil_socket_t fd;                        /* when they were set; -1: none */
    _Atomic short enabled;                     /* when the user last said so */
    bufferevent_data_cb read;
    bufferevent_data_cb write;
    bufferevent_event_cb event;
    void *arg;
};

static const char *enabled_in_words(short enabled)
{
    if (enabled & EV_READ)
        return enabled & EV_WRITE ? "read, write" : "read";
    return enabled & EV_WRITE ? "write" : "disabled";
}

/* Where another thread may be changing or freeing it, as it was when they were set. */
static void describe(const struct operation *operation, char *buffer)
{
    const struct callbacks *callbacks = container_of(operation, const struct callbacks, wrapped.operation);
    const struct bufferevent *bufferevent = atomic_load(&callbacks->bufferevent);
    evutil_socket_t fd = callbacks->fd;
    short enabled = atomic_load(&callbacks->enabled);

    if (!bufferevent) {
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent, freed");
        return;
    }
    if (operation_is_here(operation)) {
        fd = event_get_fd(&bufferevent->ev_read);
        enabled = bufferevent->enabled;
    }
    if (fd < 0)
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent: %s", enabled_in_words(enabled));
    else
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent on fd %d: %s", (int)fd,
                       enabled_in_words(enabled));
}

static const struct operation_class bufferevent_class = {.kind = "bufferevent", .describe = describe};

/* ---- In place of the user's callbacks ---- */

static void run_read(struct bufferevent *bufferevent, void *arg)
{
    struct callbacks *callbacks = arg;
    struct current saved;

    wrapped_callback_enter(&callbacks->wrapped, &saved);
    callbacks->read(bufferevent, callbacks->arg);
    wrapped_callback_leave(&callbacks->wrapped, &saved);
}

static void run_write(struct bufferevent *bufferevent, void *arg)
{
    struct callbacks *callbacks = arg;
    struct current saved;

    wrapped_callback_enter(&callbacks->wrapped, &saved);
    callbacks->write(bufferevent, callbacks->arg);
    wrapped_callback_leave(&callbacks->wrapped, &saved);
}

static void run_event(struct bufferevent *bufferevent, short what, void *arg)
{
    struct callbacks *callbacks = arg;
    struct current saved;

    wrapped_callback_enter(&callbacks->wrapped, &saved);
    callbacks->event(bufferevent, what, callbacks->arg);
    wrapped_callback_leave(&callbacks->wrapped, &saved);
}

/* ---- Setting and asking ---- */

static struct callbacks *callbacks_of(const struct bufferevent *bufferevent)
{
    bool is_ours =
        bufferevent->readcb == run_read || bufferevent->writecb == run_write || bufferevent->errorcb == run_event;

    return is_ours ? bufferevent->cbarg : NULL;
}

static struct callbacks *callbacks_new(struct bufferevent *bufferevent, bufferevent_data_cb read,
                                       bufferevent_data_cb write, bufferevent_event_cb event, void *arg,
                                       const void *place)
{
    if (propagate_exempts((void *)read) && propagate_exempts((void *)write) && propagate_exempts((void *)event))
        return NULL;

    struct callbacks *callbacks =
        wrapped_callback_allocate(sizeof(*callbacks), &bufferevent_class, bufferevent->ev_base);
    if (!callbacks)
        return NULL;
    atomic_init(&callbacks->bufferevent, bufferevent);
    callbacks->fd = event_get_fd(&bufferevent->ev_read);
    atomic_init(&callbacks->enabled, bufferevent->enabled);
    callbacks->read = read;
    callbacks->write = write;
    callbacks->event = event;
    callbacks->arg = arg;
    wrapped_callback_begin(&callbacks->wrapped, place);
    return callbacks;
}

/* Once, whoever sees first that the bufferevent has them no more. Takes NULL. */
static void callbacks_end(struct callbacks *callbacks)
{
    if (callbacks && atomic_exchange(&callbacks->bufferevent, NULL))
        wrapped_callback_drop(&callbacks->wrapped);
}

PROPAGATE_EXPORT void bufferevent_setcb(struct bufferevent *bufferevent, bufferevent_data_cb read,
                                        bufferevent_data_cb write, bufferevent_event_cb event, void *arg)
{
    struct callbacks *callbacks = callbacks_new(bufferevent, read, write, event, arg, OPERATION_PLACE());

    REAL(bufferevent_lock)(bufferevent);
    struct callbacks *old = callbacks_of(bufferevent);
    if (callbacks) {
        REAL(bufferevent_setcb)
        (bufferevent, read ? run_read : NULL, write ? run_write : NULL, event ? run_event : NULL, callbacks);
    } else {
        REAL(bufferevent_setcb)(bufferevent, read, write, event, arg);
    }
    REAL(bufferevent_unlock)(bufferevent);
    callbacks_end(old);
}

PROPAGATE_EXPORT void bufferevent_getcb(struct bufferevent *bufferevent, bufferevent_data_cb *ret_read,
                                        bufferevent_data_cb *ret_write, bufferevent_event_cb *ret_event, void **ret_arg)
{
    REAL(bufferevent_lock)(bufferevent);
    const struct callbacks *callbacks = callbacks_of(bufferevent);
    if (callbacks) {
        if (ret_read)
            *ret_read = callbacks->read;
        if (ret_write)
            *ret_write = callbacks->write;
        if (ret_event)
            *ret_event = callbacks->event;
        if (ret_arg)
            *ret_arg = callbacks->arg;
    } else {
        REAL(bufferevent_getcb)(bufferevent, ret_read, ret_write, ret_event, ret_arg);
    }
    REAL(bufferevent_unlock)(bufferevent);
}

/* For who describes it from another thread. */
static void note_enabled(const struct bufferevent *bufferevent)
{
    struct callbacks *callbacks = callbacks_of(bufferevent);

    if (callbacks)
        atomic_store_explicit(&callbacks->enabled, bufferevent->enabled, memory_order_relaxed);
}

PROPAGATE_EXPORT int bufferevent_enable(struct bufferevent *bufferevent, short events)
{
    REAL(bufferevent_lock)(bufferevent);
    int r = REAL(bufferevent_enable)(bufferevent, events);
    note_enabled(bufferevent);
    REAL(bufferevent_unlock)(bufferevent);
    return r;
}

PROPAGATE_EXPORT int bufferevent_disable(struct bufferevent *bufferevent, short events)
{
    REAL(bufferevent_lock)(bufferevent);
    int r = REAL(bufferevent_disable)(bufferevent, events);
    note_enabled(bufferevent);
    REAL(bufferevent_unlock)(bufferevent);
    return r;
}

/* ---- What libevent replaces or frees by inner calls, which need not come by here ---- */

struct wrapped_callback *bufferevent_hold_callbacks(struct bufferevent *bufferevent)
{
    REAL(bufferevent_lock)(bufferevent);
    struct callbacks *callbacks = callbacks_of(bufferevent);
    if (callbacks)
        (void)wrapped_callback_ref(&callbacks->wrapped);
    REAL(bufferevent_unlock)(bufferevent);
    return callbacks ? &callbacks->wrapped : NULL;
}

void bufferevent_let_callbacks_go(struct wrapped_callback *held, const struct bufferevent *bufferevent)
{
    struct callbacks *callbacks = held ? container_of(held, struct callbacks, wrapped) : NULL;

    if (!callbacks)
        return;
    if (!bufferevent || callbacks_of(bufferevent) != callbacks)
        callbacks_end(callbacks);
    wrapped_callback_unref(held);
}

void bufferevent_forget(struct bufferevent *bufferevent)
{
    struct wrapped_callback *held = bufferevent_hold_callbacks(bufferevent);

    if (held)
        bufferevent_setcb(bufferevent, NULL, NULL, NULL, NULL);
    bufferevent_let_callbacks_go(held, bufferevent);
    buffers_forget(bufferevent);
}

PROPAGATE_EXPORT void bufferevent_free(struct bufferevent *bufferevent)
{
    bufferevent_forget(bufferevent);
    REAL(bufferevent_free)(bufferevent);
}

/* The last reference may go by another way than bufferevent_free(). */
PROPAGATE_EXPORT int bufferevent_decref(struct bufferevent *bufferevent)
{
    struct wrapped_callback *held = bufferevent_hold_callbacks(bufferevent);
    int is_freed = REAL(bufferevent_decref)(bufferevent);

    bufferevent_let_callbacks_go(held, is_freed ? NULL : bufferevent);
    return is_freed;
}
