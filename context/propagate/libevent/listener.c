/* Listeners: their callbacks run in the context of the call that set them. They are called by the loop only, so that
 * those which were set at the root need nothing. */
#include <stdio.h>

#include <event2/listener.h>

#include "context/container.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(listeners);

/* Filed under its listener. */
struct acceptor {
    struct wrapped_callback wrapped;
    evconnlistener_cb callback;
    void *arg;
    evutil_socket_t fd;
};

/* What is called when accept() fails. It is given the acceptor's argument, which may change after it was set: so it has
 * a record at the root, too. Filed under its listener. */
struct error_handler {
    struct wrapped_callback wrapped;
    evconnlistener_errorcb callback;
};

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(
        buffer, OPERATION_DESCRIPTION_SIZE, "listener on fd %d",
        __atomic_load_n(&container_of(operation, const struct acceptor, wrapped.operation)->fd, __ATOMIC_RELAXED));
}

static const struct operation_class acceptor_class = {.kind = "listener", .describe = describe};
static const struct operation_class error_class = {.kind = "listener error"};

/* ---- In place of the user's callbacks ---- */

static void run_acceptor(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                         void *arg)
{
    struct acceptor *acceptor = arg;
    struct current saved;

    wrapped_callback_enter(&acceptor->wrapped, &saved);
    acceptor->callback(listener, fd, address, size, acceptor->arg);
    wrapped_callback_leave(&acceptor->wrapped, &saved);
}

/* What the user gave the listener. */
static void *arg_of(struct evconnlistener *listener, void *arg)
{
    struct wrapped_callback *found = wrapped_callback_find(listener, &acceptor_class);
    void *own = found && found == arg ? container_of(found, struct acceptor, wrapped)->arg : arg;

    if (found)
        wrapped_callback_unref(found);
    return own;
}

static void run_error_handler(struct evconnlistener *listener, void *arg)
{
    struct wrapped_callback *found = wrapped_callback_find(listener, &error_class);
    struct current saved;

    if (!found)
        return;
    wrapped_callback_enter(found, &saved);
    container_of(found, struct error_handler, wrapped)->callback(listener, arg_of(listener, arg));
    wrapped_callback_leave(found, &saved);
    wrapped_callback_unref(found);
}

/* ---- Making ---- */

static struct acceptor *acceptor_new(struct event_base *base, evconnlistener_cb callback, void *arg, evutil_socket_t fd,
                                     const void *place)
{
    if (!propagate_follows((void *)callback))
        return NULL;

    struct acceptor *acceptor = wrapped_callback_allocate(sizeof(*acceptor), &acceptor_class, base);
    if (!acceptor)
        return NULL;
    acceptor->callback = callback;
    acceptor->arg = arg;
    acceptor->fd = fd;
    wrapped_callback_begin(&acceptor->wrapped, place);
    return acceptor;
}

/* Files the acceptor under its listener, or drops it. evconnlistener_new_bind() may have come by here itself. */
static struct evconnlistener *made(struct acceptor *acceptor, struct evconnlistener *listener)
{
    if (!listener)
        wrapped_callback_drop(&acceptor->wrapped);
    else if (!acceptor->wrapped.object)
        wrapped_callback_file(&acceptor->wrapped, listener);
    return listener;
}

PROPAGATE_EXPORT struct evconnlistener *evconnlistener_new(struct event_base *base, evconnlistener_cb callback,
                                                           void *arg, unsigned flags, int backlog, evutil_socket_t fd)
{
    struct acceptor *acceptor =
        callback == run_acceptor ? NULL : acceptor_new(base, callback, arg, fd, OPERATION_PLACE());

    if (!acceptor)
        return REAL(evconnlistener_new)(base, callback, arg, flags, backlog, fd);
    return made(acceptor, REAL(evconnlistener_new)(base, run_acceptor, acceptor, flags, backlog, fd));
}

PROPAGATE_EXPORT struct evconnlistener *evconnlistener_new_bind(struct event_base *base, evconnlistener_cb callback,
                                                                void *arg, unsigned flags, int backlog,
                                                                const struct sockaddr *address, int size)
{
    struct acceptor *acceptor = acceptor_new(base, callback, arg, -1, OPERATION_PLACE());

    if (!acceptor)
        return REAL(evconnlistener_new_bind)(base, callback, arg, flags, backlog, address, size);

    struct evconnlistener *listener =
        REAL(evconnlistener_new_bind)(base, run_acceptor, acceptor, flags, backlog, address, size);
    if (listener)
        __atomic_store_n(&acceptor->fd, REAL(evconnlistener_get_fd)(listener), __ATOMIC_RELAXED);
    return made(acceptor, listener);
}

/* ---- Changing ---- */

PROPAGATE_EXPORT void evconnlistener_set_cb(struct evconnlistener *listener, evconnlistener_cb callback, void *arg)
{
    struct wrapped_callback *old = wrapped_callback_take(listener, &acceptor_class, NULL, NULL);
    struct acceptor *acceptor = NULL;

    if (current_state.context)
        acceptor = acceptor_new(REAL(evconnlistener_get_base)(listener), callback, arg,
                                REAL(evconnlistener_get_fd)(listener), OPERATION_PLACE());
    if (acceptor) {
        wrapped_callback_file(&acceptor->wrapped, listener);
        REAL(evconnlistener_set_cb)(listener, run_acceptor, acceptor);
    } else {
        REAL(evconnlistener_set_cb)(listener, callback, arg);
    }
    wrapped_callback_drop(old);
}

PROPAGATE_EXPORT void evconnlistener_set_error_cb(struct evconnlistener *listener, evconnlistener_errorcb callback)
{
    struct wrapped_callback *old = wrapped_callback_take(listener, &error_class, NULL, NULL);
    struct error_handler *handler = NULL;

    if (!propagate_exempts((void *)callback))
        handler = wrapped_callback_new(sizeof(*handler), &error_class, REAL(evconnlistener_get_base)(listener),
                                       OPERATION_PLACE());
    if (handler) {
        handler->callback = callback;
        wrapped_callback_file(&handler->wrapped, listener);
        REAL(evconnlistener_set_error_cb)(listener, run_error_handler);
    } else {
        REAL(evconnlistener_set_error_cb)(listener, callback);
    }
    wrapped_callback_drop(old);
}

PROPAGATE_EXPORT void evconnlistener_free(struct evconnlistener *listener)
{
    struct wrapped_callback *acceptor = wrapped_callback_take(listener, &acceptor_class, NULL, NULL);
    struct wrapped_callback *handler = wrapped_callback_take(listener, &error_class, NULL, NULL);

    REAL(evconnlistener_free)(listener);
    wrapped_callback_drop(acceptor);
    wrapped_callback_drop(handler);
}
