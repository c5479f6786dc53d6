/* Bufferevents: their callbacks run in the context of the bufferevent_setcb() that set them. */
#include <stdio.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>

#include "context/container.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(bufferevents);

struct callbacks {
    struct wrapped_callback wrapped;
    _Atomic(struct bufferevent *) bufferevent; /* NULL: it has others by now, or is freed */
    bufferevent_data_cb read;
    bufferevent_data_cb write;
    bufferevent_event_cb event;
    void *arg;
};

static const char *enabled_in_words(const struct bufferevent *bufferevent)
{
    if (bufferevent->enabled & EV_READ)
        return bufferevent->enabled & EV_WRITE ? "read, write" : "read";
    return bufferevent->enabled & EV_WRITE ? "write" : "disabled";
}

static void describe(const struct operation *operation, char *buffer)
{
    const struct callbacks *callbacks = container_of(operation, const struct callbacks, wrapped.operation);
    const struct bufferevent *bufferevent = atomic_load(&callbacks->bufferevent);
    int fd = bufferevent ? (int)event_get_fd(&bufferevent->ev_read) : -1;

    if (!bufferevent)
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent, freed");
    else if (fd < 0)
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent: %s", enabled_in_words(bufferevent));
    else
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "bufferevent on fd %d: %s", fd,
                       enabled_in_words(bufferevent));
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
        wrapped_callback_new(sizeof(*callbacks), &bufferevent_class, bufferevent->ev_base, place);
    if (!callbacks)
        return NULL;
    atomic_init(&callbacks->bufferevent, bufferevent);
    callbacks->read = read;
    callbacks->write = write;
    callbacks->event = event;
    callbacks->arg = arg;
    return callbacks;
}

/* Also called by bufferevent_free(), which sets none. */
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
    if (old) {
        atomic_store(&old->bufferevent, NULL);
        wrapped_callback_drop(&old->wrapped);
    }
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
