/* HTTP connections: what was set on them for their end, or for that of a part of a reply, runs in the context of the
 * call that set it. */
#include <stdio.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>

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

static void run_connection_callback(struct evhttp_connection *connection, void *arg)
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
    if (propagate_exempts((void *)callback))
        return NULL;

    struct connection_callback *record =
        wrapped_callback_new(sizeof(*record), class, REAL(evhttp_connection_get_base)(connection), place);
    if (!record)
        return NULL;
    record->callback = callback;
    record->arg = arg;
    wrapped_callback_file(&record->wrapped, connection);
    return record;
}

PROPAGATE_EXPORT void evhttp_connection_set_closecb(struct evhttp_connection *connection,
                                                    void (*callback)(struct evhttp_connection *connection, void *arg),
                                                    void *arg)
{
    struct wrapped_callback *old = wrapped_callback_take(connection, &close_class, NULL, NULL);
    struct connection_callback *record =
        connection_callback_new(connection, &close_class, callback, arg, OPERATION_PLACE());

    REAL(evhttp_connection_set_closecb)
    (connection, record ? run_connection_callback : callback, record ? record : arg);
    wrapped_callback_drop(old);
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

/* ---- The parts of a reply ---- */

/* libevent keeps the callback of the latest chunk, and may call it more than once, until the next one takes its place
 * or the reply ends. An empty chunk is none. */
PROPAGATE_EXPORT void evhttp_send_reply_chunk_with_cb(struct evhttp_request *request, struct evbuffer *data,
                                                      void (*callback)(struct evhttp_connection *connection, void *arg),
                                                      void *arg)
{
    struct evhttp_connection *connection = request->evcon;

    if (!connection || REAL(evbuffer_get_length)(data) == 0)
        return;

    struct wrapped_callback *old = wrapped_callback_take(connection, &chunk_class, NULL, NULL);
    struct connection_callback *record =
        connection_callback_new(connection, &chunk_class, callback, arg, OPERATION_PLACE());
    REAL(evhttp_send_reply_chunk_with_cb)
    (request, data, record ? run_connection_callback : callback, record ? record : arg);
    wrapped_callback_drop(old);
}

PROPAGATE_EXPORT void evhttp_send_reply_end(struct evhttp_request *request)
{
    struct wrapped_callback *chunk =
        request->evcon ? wrapped_callback_take(request->evcon, &chunk_class, NULL, NULL) : NULL;

    REAL(evhttp_send_reply_end)(request);
    wrapped_callback_drop(chunk);
}

/* ---- The end of a reply ---- */

struct reply {
    struct wrapped_callback wrapped;
    void (*callback)(struct evhttp_request *request, void *arg);
    void *arg;
};

static const struct operation_class reply_class = {.kind = "http reply"};

static void run_reply_sent(struct evhttp_request *request, void *arg)
{
    struct reply *reply = arg;
    struct current saved;

    wrapped_callback_enter(&reply->wrapped, &saved);
    reply->callback(request, reply->arg);
    wrapped_callback_leave(&reply->wrapped, &saved);
}

struct wrapped_callback *http_reply_of(const struct evhttp_request *request)
{
    return request->on_complete_cb == run_reply_sent ? request->on_complete_cb_arg : NULL;
}

PROPAGATE_EXPORT void evhttp_request_set_on_complete_cb(struct evhttp_request *request,
                                                        void (*callback)(struct evhttp_request *request, void *arg),
                                                        void *arg)
{
    struct wrapped_callback *old = http_reply_of(request);
    struct event_base *base = request->evcon ? REAL(evhttp_connection_get_base)(request->evcon) : NULL;
    struct reply *reply = NULL;

    if (!propagate_exempts((void *)callback))
        reply = wrapped_callback_new(sizeof(*reply), &reply_class, base, OPERATION_PLACE());
    if (reply) {
        reply->callback = callback;
        reply->arg = arg;
    }
    REAL(evhttp_request_set_on_complete_cb)(request, reply ? run_reply_sent : callback, reply ? (void *)reply : arg);
    wrapped_callback_drop(old);
}
