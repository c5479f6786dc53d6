/*
 * What of HTTP's connections and replies has to end with them.
 */
#pragma once

#include "context/propagate/wrapped_callback.h"

struct evhttp_connection;
struct evhttp_request;

/* The wrapped callback of a request's evhttp_request_set_on_complete_cb(), or NULL. Dropped when the request is freed.
 */
struct wrapped_callback *http_reply_of(const struct evhttp_request *request);

/* Takes a connection's wrapped callbacks from it. They are to be dropped when the connection has been freed. */
struct wrapped_callback *http_connection_forget(const struct evhttp_connection *connection);
