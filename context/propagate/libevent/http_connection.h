/*
 * What of HTTP's connections and replies has to end with them.
 */
#pragma once

#include "context/propagate/wrapped_callback.h"

struct evhttp_connection;
struct evhttp_request;

/* Gives a request its own evhttp_request_set_on_complete_cb() back, which libevent will not call any more or is about
 * to, and ends the record. */
void http_reply_forget(struct evhttp_request *request);

/* Takes a connection's wrapped callbacks from it. They are to be dropped when the connection has been freed. */
struct wrapped_callback *http_connection_forget(const struct evhttp_connection *connection);
