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
    struct registration registration;
    evconnlistener_cb callback;
    void *arg;
    evutil_socket_t fd;
};

/* What is called when accept() fails. It is given the acceptor's argument, which may change after it was set: so it has
 * a record at the root, too. Filed under its listener. */
struct error_handler {
    struct registration registration;
    evconnlistener_errorcb callback;
};

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "listener on fd %d",
                   container_of(operation, const struct acceptor, registration.operation)->fd);
}

static const struct operation_class acceptor_class = {.kind = "listener", .describe = describe};
static const struct operation_class error_class = {.kind = "listener error"};

/* ---- In place of the user's callbacks ---- */

static void run_acceptor(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                         void *arg)
{
    struct acceptor *acceptor = arg;
    struct current saved;

    registration_enter(&acceptor->registration, &saved);
    acceptor->callback(listener, fd, address, size, acceptor->arg);
    registration_leave(&acceptor->registration, &saved);
}

/* What the user gave the listener. */
static void *arg_of(struct evconnlistener *listener, void *arg)
{
    struct registration *found = registration_find(listener, &acceptor_class);
    void *own = found && found == arg ? container_of(found, struct acceptor, registration)->arg : arg;

    if (found)
        registration_unref(found);
    return own;
}

static void run_error_handler(struct evconnlistener *listener, void *arg)
{
    struct registration *found = registration_find(listener, &error_class);
    struct current saved;

    if (!found)
        return;
    registration_enter(found, &saved);
    container_of(found, struct error_handler, registration)->callback(listener, arg_of(listener, arg));
    registration_leave(found, &saved);
    registration_unref(found);
}

/* ---- Making ---- */

static struct acceptor *acceptor_new(struct event_base *base, evconnlistener_cb callback, void *arg, evutil_socket_t fd,
                                     const void *place)
{
    if (!propagate_follows((void *)callback))
        return NULL;

    struct acceptor *acceptor = registration_new(sizeof(*acceptor), &acceptor_class, base, place);
    if (!acceptor)
        return NULL;
    acceptor->callback = callback;
    acceptor->arg = arg;
    acceptor->fd = fd;
    return acceptor;
}

static struct evconnlistener *listen_for(struct acceptor *acceptor, struct event_base *base, unsigned flags,
                                         int backlog)
{
    struct evconnlistener *listener =
        REAL(evconnlistener_new)(base, run_acceptor, acceptor, flags, backlog, acceptor->fd);

    if (listener)
        registration_file(&acceptor->registration, listener);
    return listener;
}

PROPAGATE_EXPORT struct evconnlistener *evconnlistener_new(struct event_base *base, evconnlistener_cb callback,
                                                           void *arg, unsigned flags, int backlog, evutil_socket_t fd)
{
    if (callback == run_acceptor) {
        /* This is evconnlistener_new_bind() calling. */
        ((struct acceptor *)arg)->fd = fd;
        return listen_for(arg, base, flags, backlog);
    }

    struct acceptor *acceptor = acceptor_new(base, callback, arg, fd, OPERATION_PLACE());
    if (!acceptor)
        return REAL(evconnlistener_new)(base, callback, arg, flags, backlog, fd);

    struct evconnlistener *listener = listen_for(acceptor, base, flags, backlog);
    if (!listener)
        registration_drop(&acceptor->registration);
    return listener;
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
    if (!listener)
        registration_drop(&acceptor->registration);
    return listener;
}

/* ---- Changing ---- */

PROPAGATE_EXPORT void evconnlistener_set_cb(struct evconnlistener *listener, evconnlistener_cb callback, void *arg)
{
    struct registration *old = registration_take(listener, &acceptor_class, NULL, NULL);
    struct acceptor *acceptor = NULL;

    if (current_state.context)
        acceptor = acceptor_new(REAL(evconnlistener_get_base)(listener), callback, arg,
                                REAL(evconnlistener_get_fd)(listener), OPERATION_PLACE());
    if (acceptor) {
        registration_file(&acceptor->registration, listener);
        REAL(evconnlistener_set_cb)(listener, run_acceptor, acceptor);
    } else {
        REAL(evconnlistener_set_cb)(listener, callback, arg);
    }
    registration_drop(old);
}

PROPAGATE_EXPORT void evconnlistener_set_error_cb(struct evconnlistener *listener, evconnlistener_errorcb callback)
{
    struct registration *old = registration_take(listener, &error_class, NULL, NULL);
    struct error_handler *handler = NULL;

    if (!propagate_exempts((void *)callback))
        handler = registration_new(sizeof(*handler), &error_class, REAL(evconnlistener_get_base)(listener),
                                   OPERATION_PLACE());
    if (handler) {
        handler->callback = callback;
        registration_file(&handler->registration, listener);
        REAL(evconnlistener_set_error_cb)(listener, run_error_handler);
    } else {
        REAL(evconnlistener_set_error_cb)(listener, callback);
    }
    registration_drop(old);
}

PROPAGATE_EXPORT void evconnlistener_free(struct evconnlistener *listener)
{
    struct registration *acceptor = registration_take(listener, &acceptor_class, NULL, NULL);
    struct registration *handler = registration_take(listener, &error_class, NULL, NULL);

    REAL(evconnlistener_free)(listener);
    registration_drop(acceptor);
    registration_drop(handler);
}
