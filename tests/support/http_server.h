/*
 * An HTTP server at the root, on a port of 127.0.0.1, and clients of it, as libevent's sample programs are written.
 */
#pragma once

#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "tests/support/plain_libevent.h"

enum { HTTP_SERVER_BIG = 1 << 20 };

struct http_server {
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_request *unanswered; /* the latest for /never */
    ev_uint16_t port;
    int requests;
};

/* A big body of one letter, which is the path's last. */
static inline void http_server_answer_big(struct evhttp_request *request, void *server)
{
    const char *uri = evhttp_request_get_uri(request);
    struct evbuffer *body = evbuffer_new();
    char *letters = malloc(HTTP_SERVER_BIG);

    (void)server;
    EXPECT_TEXT(weft_get("a"), NULL);
    (void)memset(letters, uri[strlen(uri) - 1], HTTP_SERVER_BIG);
    EXPECT_EQUAL(evbuffer_add(body, letters, HTTP_SERVER_BIG), 0);
    free(letters);
    evhttp_send_reply(request, HTTP_OK, "OK", body);
    evbuffer_free(body);
}

static inline void http_server_answer_chunks(struct evhttp_request *request, void *server)
{
    struct evbuffer *chunk = evbuffer_new();

    (void)server;
    EXPECT_TEXT(weft_get("a"), NULL);
    evhttp_send_reply_start(request, HTTP_OK, "OK");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL(evbuffer_add(chunk, "chunk", 5), 0);
        evhttp_send_reply_chunk(request, chunk);
    }
    evbuffer_free(chunk);
    evhttp_send_reply_end(request);
}

static inline void http_server_answer_never(struct evhttp_request *request, void *server)
{
    EXPECT_TEXT(weft_get("a"), NULL);
    ((struct http_server *)server)->unanswered = request;
}

static inline void http_server_answer_path(struct evhttp_request *request, void *server)
{
    struct evbuffer *body = evbuffer_new();

    ((struct http_server *)server)->requests++;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT(evbuffer_add_printf(body, "%s", evhttp_request_get_uri(request)) > 0);
    evhttp_send_reply(request, HTTP_OK, "OK", body);
    evbuffer_free(body);
}

static inline int http_server_listen(void *arg)
{
    struct http_server *server = arg;

    server->http = evhttp_new(server->base);
    evhttp_set_gencb(server->http, http_server_answer_path, server);
    for (char path[] = "/big/0"; path[5] <= '9'; path[5]++)
        EXPECT_EQUAL(evhttp_set_cb(server->http, path, http_server_answer_big, server), 0);
    EXPECT_EQUAL(evhttp_set_cb(server->http, "/chunks", http_server_answer_chunks, server), 0);
    EXPECT_EQUAL(evhttp_set_cb(server->http, "/never", http_server_answer_never, server), 0);
    server->port = port_of(evhttp_bound_socket_get_fd(evhttp_bind_socket_with_handle(server->http, "127.0.0.1", 0)));
    return 0;
}

/* The server's callbacks have its address. */
static inline void http_server_begin(struct http_server *server)
{
    *server = (struct http_server){.base = event_base_new()};
    trace_clear();
    with(NULL, http_server_listen, server);
}

static inline void http_server_end(struct http_server *server)
{
    evhttp_free(server->http);
    /* What was put off until the loop's next turn. */
    EXPECT(event_base_loop(server->base, EVLOOP_NONBLOCK) >= 0);
    event_base_free(server->base);
}

/* ---- Clients ---- */

struct http_client {
    struct http_server *server;
    struct evhttp_connection *connection;
    struct evhttp_request *request;
    const char *path;
    const char *wanted; /* what its callbacks are to see */
    enum evhttp_request_error error;
    int code;  /* of the answer; -1: there was none */
    int *left; /* clients that are not done, or NULL: this is the only one */
    char letter;
};

static inline int http_client_connect(void *arg)
{
    struct http_client *client = arg;

    client->connection = evhttp_connection_base_new(client->server->base, NULL, "127.0.0.1", client->server->port);
    return 0;
}

static inline void http_client_is_done(struct http_client *client)
{
    if (!client->left || --*client->left == 0)
        EXPECT_EQUAL(event_base_loopbreak(client->server->base), 0);
}

static inline void http_client_note_done(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;

    client->code = request ? evhttp_request_get_response_code(request) : -1;
    look(client->letter, client->wanted);
    http_client_is_done(client);
}

static inline void http_client_note_error(enum evhttp_request_error error, void *arg)
{
    struct http_client *client = arg;

    client->error = error;
    look('e', client->wanted);
}

static inline void http_client_note_chunk(struct evhttp_request *request, void *arg)
{
    EXPECT(evbuffer_get_length(evhttp_request_get_input_buffer(request)) > 0);
    look('c', ((struct http_client *)arg)->wanted);
}

/* Asks for the client's path. */
static inline int http_client_ask(void *arg)
{
    struct http_client *client = arg;

    client->request = evhttp_request_new(http_client_note_done, client);
    EXPECT_EQUAL(evhttp_add_header(evhttp_request_get_output_headers(client->request), "Host", "localhost"), 0);
    evhttp_request_set_error_cb(client->request, http_client_note_error);
    return evhttp_make_request(client->connection, client->request, EVHTTP_REQ_GET, client->path);
}

/* Runs the loop until a client is done. */
static inline void http_server_run(const struct http_server *server)
{
    EXPECT(event_base_dispatch(server->base) >= 0);
}
