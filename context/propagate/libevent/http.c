/* HTTP requests of clients: all of a request's callbacks run in the context of the evhttp_make_request() that sent it,
 * which is given back when it is over. Connections hold none. Requests that a server gets are nobody's. */
#include <stdio.h>

#include <event2/http.h>
#include <event2/http_struct.h>

#include "context/container.h"
#include "context/macros.h"
#include "context/propagate/libevent/bufferevent.h"
#include "context/propagate/libevent/http_connection.h"
#include "context/propagate/linked.h"

PROPAGATE_LINKED(requests);

/* A request on its way, filed under its connection. Until it is over, its callbacks and their argument are weft's. */
struct exchange {
    struct wrapped_callback wrapped;
    const struct evhttp_connection *connection;
    struct evhttp_request *request; /* NULL: freed */
    bool is_owned;                  /* by evhttp_request_own(): libevent does not free it */
    void (*done)(struct evhttp_request *request, void *arg);
    void (*chunk)(struct evhttp_request *request, void *arg);
    int (*header)(struct evhttp_request *request, void *arg);
    void (*error)(enum evhttp_request_error error, void *arg);
    void *arg;
    bool is_over;
    bool done_follows; /* libevent will call `done`, though the request may be freed by then */
    char target[OPERATION_DESCRIPTION_SIZE];
};

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "http %.*s", OPERATION_DESCRIPTION_SIZE - 6,
                   container_of(operation, const struct exchange, wrapped.operation)->target);
}

static const struct operation_class exchange_class = {.kind = "http", .describe = describe};

static const struct {
    enum evhttp_cmd_type command;
    const char *name;
} methods[] = {
    {EVHTTP_REQ_GET, "GET"},     {EVHTTP_REQ_POST, "POST"},       {EVHTTP_REQ_HEAD, "HEAD"},
    {EVHTTP_REQ_PUT, "PUT"},     {EVHTTP_REQ_DELETE, "DELETE"},   {EVHTTP_REQ_OPTIONS, "OPTIONS"},
    {EVHTTP_REQ_TRACE, "TRACE"}, {EVHTTP_REQ_CONNECT, "CONNECT"}, {EVHTTP_REQ_PATCH, "PATCH"},
};

static const char *name_of_method(enum evhttp_cmd_type command)
{
    for (size_t i = 0; i < ELEMENTS(methods); i++)
        if (methods[i].command == command)
            return methods[i].name;
    return "?";
}

/* ---- In place of the user's callbacks ---- */

static void exchange_end(struct exchange *exchange);

/* libevent has freed the request of an exchange that has failed, unless it is the user's. */
static void request_was_freed(struct exchange *exchange)
{
    if (!exchange->is_owned)
        exchange->request = NULL;
}

static void run_done(struct evhttp_request *request, void *arg)
{
    struct exchange *exchange = arg;
    struct current saved;

    wrapped_callback_enter(&exchange->wrapped, &saved);
    exchange->done_follows = false;
    if (!request)
        request_was_freed(exchange);
    exchange_end(exchange);
    exchange->done(request, exchange->arg);
    wrapped_callback_leave(&exchange->wrapped, &saved);
}

static void run_chunk(struct evhttp_request *request, void *arg)
{
    struct exchange *exchange = arg;
    struct current saved;

    wrapped_callback_enter(&exchange->wrapped, &saved);
    exchange->chunk(request, exchange->arg);
    wrapped_callback_leave(&exchange->wrapped, &saved);
}

static int run_header(struct evhttp_request *request, void *arg)
{
    struct exchange *exchange = arg;
    struct current saved;

    wrapped_callback_enter(&exchange->wrapped, &saved);
    int r = exchange->header(request, exchange->arg);
    wrapped_callback_leave(&exchange->wrapped, &saved);
    return r;
}

/* libevent has freed the request before, and calls `done` after, except for a cancelled one. */
static void run_error(enum evhttp_request_error error, void *arg)
{
    struct exchange *exchange = arg;
    struct current saved;

    exchange->done_follows = error != EVREQ_HTTP_REQUEST_CANCEL;
    request_was_freed(exchange);
    wrapped_callback_enter(&exchange->wrapped, &saved);
    exchange->error(error, exchange->arg);
    wrapped_callback_leave(&exchange->wrapped, &saved);
}

/* ---- An exchange's life ---- */

static struct exchange *exchange_of(const struct evhttp_request *request)
{
    return request->cb == run_done ? request->cb_arg : NULL;
}

static void take_over(struct exchange *exchange, struct evhttp_request *request)
{
    exchange->request = request;
    exchange->is_owned = request->flags & EVHTTP_USER_OWNED;
    exchange->done = request->cb;
    exchange->chunk = request->chunk_cb;
    exchange->header = request->header_cb;
    exchange->error = request->error_cb;
    exchange->arg = request->cb_arg;
    request->cb = run_done;
    request->chunk_cb = exchange->chunk ? run_chunk : NULL;
    request->header_cb = exchange->header ? run_header : NULL;
    request->error_cb = exchange->error ? run_error : NULL;
    request->cb_arg = exchange;
}

static void exchange_end(struct exchange *exchange)
{
    if (exchange->is_over || exchange->done_follows)
        return;
    exchange->is_over = true;
    struct evhttp_request *request = exchange->request;
    if (request) {
        exchange->request = NULL;
        request->cb = exchange->done;
        request->chunk_cb = exchange->chunk;
        request->header_cb = exchange->header;
        request->error_cb = exchange->error;
        request->cb_arg = exchange->arg;
    }
    (void)wrapped_callback_take_this(&exchange->wrapped, exchange->connection);
    wrapped_callback_drop(&exchange->wrapped);
}

static struct exchange *exchange_new(struct evhttp_connection *connection, struct evhttp_request *request,
                                     enum evhttp_cmd_type command, const char *uri, const void *place)
{
    if (propagate_exempts((void *)request->cb))
        return NULL;

    struct exchange *exchange =
        wrapped_callback_allocate(sizeof(*exchange), &exchange_class, REAL(evhttp_connection_get_base)(connection));
    if (!exchange)
        return NULL;
    exchange->connection = connection;
    if (current_state.context) {
        const char *method = name_of_method(command);
        char *host = NULL;
        ev_uint16_t port = 0;

        REAL(evhttp_connection_get_peer)(connection, &host, &port);
        /* A proxy is sent the whole URI. */
        if (uri[0] == '/')
            (void)snprintf(exchange->target, sizeof(exchange->target), "%s %s:%u%s", method, host, port, uri);
        else
            (void)snprintf(exchange->target, sizeof(exchange->target), "%s %s by way of %s:%u", method, uri, host,
                           port);
    }
    wrapped_callback_begin(&exchange->wrapped, place);
    take_over(exchange, request);
    wrapped_callback_file(&exchange->wrapped, connection);
    return exchange;
}

PROPAGATE_EXPORT int evhttp_make_request(struct evhttp_connection *connection, struct evhttp_request *request,
                                         enum evhttp_cmd_type command, const char *uri)
{
    struct exchange *exchange = exchange_new(connection, request, command, uri, OPERATION_PLACE());

    if (!exchange)
        return REAL(evhttp_make_request)(connection, request, command, uri);

    /* It may be over before this returns. */
    (void)wrapped_callback_ref(&exchange->wrapped);
    int r = REAL(evhttp_make_request)(connection, request, command, uri);
    if (r < 0)
        exchange_end(exchange);
    wrapped_callback_unref(&exchange->wrapped);
    return r;
}

/* Calls the error callback of a request whose turn it was, and nothing for one that was still waiting. */
PROPAGATE_EXPORT void evhttp_cancel_request(struct evhttp_request *request)
{
    struct exchange *exchange = exchange_of(request);

    if (!exchange) {
        REAL(evhttp_cancel_request)(request);
        return;
    }
    /* By its own callback: libevent frees it when that returns. */
    if (request->flags & EVHTTP_REQ_DEFER_FREE)
        exchange->is_owned = true;
    (void)wrapped_callback_ref(&exchange->wrapped);
    REAL(evhttp_cancel_request)(request);
    request_was_freed(exchange);
    exchange_end(exchange);
    wrapped_callback_unref(&exchange->wrapped);
}

/* ---- Freeing ---- */

PROPAGATE_EXPORT void evhttp_request_own(struct evhttp_request *request)
{
    struct exchange *exchange = exchange_of(request);

    REAL(evhttp_request_own)(request);
    if (exchange)
        exchange->is_owned = true;
}

/* libevent frees a request before it reports its failure, so that this is not the end of it. */
PROPAGATE_EXPORT void evhttp_request_free(struct evhttp_request *request)
{
    struct exchange *exchange = exchange_of(request);

    if (request->flags & EVHTTP_REQ_DEFER_FREE) {
        REAL(evhttp_request_free)(request);
        return;
    }
    bool is_owner = request->flags & EVHTTP_USER_OWNED;
    if (exchange)
        exchange->request = NULL;
    http_reply_forget(request);
    REAL(evhttp_request_free)(request);
    if (exchange && is_owner)
        exchange_end(exchange);
}

/* With the requests that wait for it, whose callbacks are not called. */
PROPAGATE_EXPORT void evhttp_connection_free(struct evhttp_connection *connection)
{
    struct wrapped_callback *exchanges = wrapped_callback_take_all(connection, &exchange_class);
    struct wrapped_callback *waiting = NULL;

    while (exchanges) {
        struct exchange *exchange = container_of(exchanges, struct exchange, wrapped);

        exchanges = exchanges->next;
        /* The end of one whose request libevent has freed is about to be told. */
        if (!exchange->request || exchange->done_follows)
            continue;
        (void)wrapped_callback_ref(&exchange->wrapped);
        exchange->wrapped.next = waiting;
        waiting = &exchange->wrapped;
    }
    struct wrapped_callback *closing = http_connection_forget(connection);
    bufferevent_forget(REAL(evhttp_connection_get_bufferevent)(connection));
    REAL(evhttp_connection_free)(connection);
    while (waiting) {
        struct exchange *exchange = container_of(waiting, struct exchange, wrapped);

        waiting = waiting->next;
        request_was_freed(exchange);
        exchange_end(exchange);
        wrapped_callback_unref(&exchange->wrapped);
    }
    wrapped_callback_end_all(closing, wrapped_callback_drop);
}

/* ---- Callbacks that are set while it is on its way ---- */

PROPAGATE_EXPORT void evhttp_request_set_chunked_cb(struct evhttp_request *request,
                                                    void (*callback)(struct evhttp_request *request, void *arg))
{
    struct exchange *exchange = exchange_of(request);

    if (exchange)
        exchange->chunk = callback;
    REAL(evhttp_request_set_chunked_cb)(request, exchange && callback ? run_chunk : callback);
}

PROPAGATE_EXPORT void evhttp_request_set_header_cb(struct evhttp_request *request,
                                                   int (*callback)(struct evhttp_request *request, void *arg))
{
    struct exchange *exchange = exchange_of(request);

    if (exchange)
        exchange->header = callback;
    REAL(evhttp_request_set_header_cb)(request, exchange && callback ? run_header : callback);
}

PROPAGATE_EXPORT void evhttp_request_set_error_cb(struct evhttp_request *request,
                                                  void (*callback)(enum evhttp_request_error error, void *arg))
{
    struct exchange *exchange = exchange_of(request);

    if (exchange)
        exchange->error = callback;
    REAL(evhttp_request_set_error_cb)(request, exchange && callback ? run_error : callback);
}
