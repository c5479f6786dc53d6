/* HTTP connections: what was set on them for their end, or for that of a part of a reply, runs in the context of the
 * call that set it. */
#include <stdio.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "context/container.h"
#include "context/propagate/libevent/bufferevent.h"
#include "context/propagate/libevent/http_connection.h"
#include "context/propagate/linked.h"

PROPAGATE_LINKED(http_connections);

/* ---- The end of a connection ---- */

/* Both are filed under their connection. */
struct connection_callback {
    struct wrapped_callback wrapped;
    void (*callback)(struct evhttp_connection *connection, void *arg);
    void *arg;
};

static const struct operation_class close_class = {.kind = "http close"};
static const struct operation_class chunk_class = {.kind = "http chunk"};

static void run_part_sent(struct evhttp_connection *connection, void *arg)
{
    struct connection_callback *record = arg;
    struct current saved;

    wrapped_callback_enter(&record->wrapped, &saved);
    record->callback(connection, record->arg);
    wrapped_callback_leave(&record->wrapped, &saved);
}

static struct connection_callback *connection_callback_new(
    struct evhttp_connection *connection, const struct operation_class *class,
    void (*callback)(struct evhttp_connection *connection, void *arg), void *arg, const void *place)
{
    struct connection_callback *record =
        wrapped_callback_new(sizeof(*record), class, REAL(evhttp_connection_get_base)(connection), place);
    if (!record)
        return NULL;
    record->callback = callback;
    record->arg = arg;
    wrapped_callback_file(&record->wrapped, connection);
    return record;
}

struct wrapped_callback *http_connection_forget(const struct evhttp_connection *connection)
{
    struct wrapped_callback *chunk = wrapped_callback_take(connection, &chunk_class, NULL, NULL);
    struct wrapped_callback *closing = wrapped_callback_take_all(connection, &close_class);

    if (!chunk)
        return closing;
    chunk->next = closing;
    return chunk;
}

static void forget_replies(const struct evhttp_connection *connection);

/* A server's connection is closed when libevent is about to free it, by an inner call that need not come by here; a
 * client's may be connected again. */
static void run_closed(struct evhttp_connection *connection, void *arg)
{
    struct connection_callback *record = arg;
    struct current saved;
    bool is_about_to_be_freed = REAL(evhttp_connection_get_server)(connection) != NULL;

    wrapped_callback_enter(&record->wrapped, &saved);
    if (record->callback)
        record->callback(connection, record->arg);
    wrapped_callback_leave(&record->wrapped, &saved);
    if (!is_about_to_be_freed)
        return;
    forget_replies(connection);
    bufferevent_forget(REAL(evhttp_connection_get_bufferevent)(connection));
    wrapped_callback_end_all(http_connection_forget(connection), wrapped_callback_drop);
}

/* A record that is nobody's, also of a callback that nobody follows: the end of the connection is to be noticed. */
static struct connection_callback *watch_new(struct evhttp_connection *connection,
                                             void (*callback)(struct evhttp_connection *connection, void *arg),
                                             void *arg)
{
    struct current saved;

    propagate_suspend(&saved);
    struct connection_callback *record = connection_callback_new(connection, &close_class, callback, arg, NULL);
    propagate_resume(&saved);
    return record;
}

static void watch(struct evhttp_connection *connection)
{
    struct wrapped_callback *found = wrapped_callback_find(connection, &close_class);

    if (found) {
        wrapped_callback_unref(found);
        return;
    }
    struct connection_callback *record = watch_new(connection, NULL, NULL);
    if (record)
        REAL(evhttp_connection_set_closecb)(connection, run_closed, record);
}

PROPAGATE_EXPORT void evhttp_connection_set_closecb(struct evhttp_connection *connection,
                                                    void (*callback)(struct evhttp_connection *connection, void *arg),
                                                    void *arg)
{
    struct wrapped_callback *old = wrapped_callback_take(connection, &close_class, NULL, NULL);
    struct connection_callback *record = NULL;

    if (!propagate_exempts((void *)callback))
        record = connection_callback_new(connection, &close_class, callback, arg, OPERATION_PLACE());
    else if (old)
        record = watch_new(connection, callback, arg);
    REAL(evhttp_connection_set_closecb)(connection, record ? run_closed : callback, record ? record : arg);
    wrapped_callback_drop(old);
}

/* ---- The parts of a reply ---- */

/* libevent keeps the callback of the latest chunk, and may call it more than once, until the next one takes its place
 * or the reply ends. An empty chunk is none. */
static struct wrapped_callback *take_part(const struct evhttp_request *request)
{
    return request->evcon ? wrapped_callback_take(request->evcon, &chunk_class, NULL, NULL) : NULL;
}

PROPAGATE_EXPORT void evhttp_send_reply_chunk_with_cb(struct evhttp_request *request, struct evbuffer *data,
                                                      void (*callback)(struct evhttp_connection *connection, void *arg),
                                                      void *arg)
{
    struct evhttp_connection *connection = request->evcon;
    struct connection_callback *record = NULL;

    if (!connection || REAL(evbuffer_get_length)(data) == 0)
        return;

    struct wrapped_callback *old = take_part(request);
    if (!propagate_exempts((void *)callback)) {
        record = connection_callback_new(connection, &chunk_class, callback, arg, OPERATION_PLACE());
        watch(connection);
    }
    REAL(evhttp_send_reply_chunk_with_cb)
    (request, data, record ? run_part_sent : callback, record ? record : arg);
    wrapped_callback_drop(old);
}

PROPAGATE_EXPORT void evhttp_send_reply_chunk(struct evhttp_request *request, struct evbuffer *data)
{
    evhttp_send_reply_chunk_with_cb(request, data, NULL, NULL);
}

PROPAGATE_EXPORT void evhttp_send_reply_start(struct evhttp_request *request, int code, const char *reason)
{
    struct wrapped_callback *part = take_part(request);

    REAL(evhttp_send_reply_start)(request, code, reason);
    wrapped_callback_drop(part);
}

/* A request whose connection is gone is freed by what would have sent its reply, and told nothing. */
static struct wrapped_callback *last_part(struct evhttp_request *request)
{
    if (!request->evcon)
        http_reply_forget(request);
    return take_part(request);
}

PROPAGATE_EXPORT void evhttp_send_reply_end(struct evhttp_request *request)
{
    struct wrapped_callback *part = last_part(request);

    REAL(evhttp_send_reply_end)(request);
    wrapped_callback_drop(part);
}

PROPAGATE_EXPORT void evhttp_send_reply(struct evhttp_request *request, int code, const char *reason,
                                        struct evbuffer *data)
{
    struct wrapped_callback *part = last_part(request);

    REAL(evhttp_send_reply)(request, code, reason, data);
    wrapped_callback_drop(part);
}

PROPAGATE_EXPORT void evhttp_send_error(struct evhttp_request *request, int code, const char *reason)
{
    struct wrapped_callback *part = last_part(request);

    REAL(evhttp_send_error)(request, code, reason);
    wrapped_callback_drop(part);
}

/* ---- The end of a reply ---- */

/* Filed under its connection, if there is one. */
struct reply {
    struct wrapped_callback wrapped;
    struct evhttp_request *request;
    const struct evhttp_connection *connection;
    void (*callback)(struct evhttp_request *request, void *arg);
    void *arg;
};

static const struct operation_class reply_class = {.kind = "http reply"};

static void run_reply_sent(struct evhttp_request *request, void *arg);

static struct reply *reply_of(const struct evhttp_request *request)
{
    return request->on_complete_cb == run_reply_sent ? request->on_complete_cb_arg : NULL;
}

void http_reply_forget(struct evhttp_request *request)
{
    struct reply *reply = reply_of(request);

    if (!reply)
        return;
    request->on_complete_cb = reply->callback;
    request->on_complete_cb_arg = reply->arg;
    if (reply->connection)
        (void)wrapped_callback_take_this(&reply->wrapped, reply->connection);
    wrapped_callback_drop(&reply->wrapped);
}

static void forget_replies(const struct evhttp_connection *connection)
{
    struct wrapped_callback *found;

    while ((found = wrapped_callback_find(connection, &reply_class))) {
        http_reply_forget(container_of(found, struct reply, wrapped)->request);
        wrapped_callback_unref(found);
    }
}

/* libevent calls it once, and frees the request then. */
static void run_reply_sent(struct evhttp_request *request, void *arg)
{
    struct reply *reply = arg;
    struct current saved;

    wrapped_callback_enter(&reply->wrapped, &saved);
    http_reply_forget(request);
    reply->callback(request, reply->arg);
    http_reply_forget(request);
    wrapped_callback_leave(&reply->wrapped, &saved);
}

PROPAGATE_EXPORT void evhttp_request_set_on_complete_cb(struct evhttp_request *request,
                                                        void (*callback)(struct evhttp_request *request, void *arg),
                                                        void *arg)
{
    struct evhttp_connection *connection = request->evcon;
    struct reply *reply = NULL;

    http_reply_forget(request);
    if (!propagate_exempts((void *)callback))
        reply =
            wrapped_callback_new(sizeof(*reply), &reply_class,
                                 connection ? REAL(evhttp_connection_get_base)(connection) : NULL, OPERATION_PLACE());
    if (reply) {
        reply->request = request;
        reply->connection = connection;
        reply->callback = callback;
        reply->arg = arg;
    }
    if (reply && connection) {
        wrapped_callback_file(&reply->wrapped, connection);
        watch(connection);
    }
    REAL(evhttp_request_set_on_complete_cb)(request, reply ? run_reply_sent : callback, reply ? (void *)reply : arg);
}
