/* HTTP servers in plain libevent: requests from outside are nobody's; what their handlers set is theirs. C34, C38, C63.
 */
#include <event2/bufferevent.h>

#include "tests/conformance/harness.h"
#include "tests/support/http_server.h"

/* What a handler sets, and what is to be seen of it. */
struct service {
    struct http_server server;
    struct evhttp_request *request;
    struct evbuffer *chunk;
    int chunks_left;
    int bufferevents; /* that were asked for */
};

static void begin(struct service *service, void (*handle)(struct evhttp_request *request, void *service))
{
    *service = (struct service){.chunk = evbuffer_new(), .chunks_left = 3};
    http_server_begin(&service->server);
    EXPECT_EQUAL(evhttp_set_cb(service->server.http, "/here", handle, service), 0);
}

/* Asks for /here, as a job. */
static void ask(struct service *service, struct http_client *client)
{
    *client = (struct http_client){.server = &service->server, .path = "/here", .wanted = "client", .letter = '.'};
    with("client", http_client_connect, client);
    with("client", http_client_ask, client);
    http_server_run(&service->server);
}

static void finish(struct service *service, struct http_client *client)
{
    evhttp_connection_free(client->connection);
    EXPECT(event_base_loop(service->server.base, EVLOOP_NONBLOCK) >= 0);
    evbuffer_free(service->chunk);
    http_server_end(&service->server);
}

/* ---- Handlers ---- */

static struct bufferevent *make_bufferevent(struct event_base *base, void *arg)
{
    ((struct service *)arg)->bufferevents++;
    EXPECT_TEXT(weft_get("a"), NULL);
    return bufferevent_socket_new(base, -1, 0);
}

static void answer(struct evhttp_request *request, void *service)
{
    (void)service;
    look('s', NULL);
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static int set_handlers(void *arg)
{
    struct service *service = arg;

    evhttp_set_gencb(service->server.http, answer, service);
    evhttp_set_bevcb(service->server.http, make_bufferevent, service);
    EXPECT_EQUAL(evhttp_del_cb(service->server.http, "/here"), 0);
    return 0;
}

/* Whoever has set them, and whoever asks. */
static void c34_handlers_run_at_the_root(void)
{
    static const char *const values[] = {NULL, "setter"};

    for (int i = 0; i < 2; i++) {
        struct service service;
        struct http_client client;
        long before = weft_contexts_alive();

        begin(&service, answer);
        with(values[i], set_handlers, &service);
        EXPECT_EQUAL(weft_contexts_alive(), before);
        ask(&service, &client);
        EXPECT_TEXT(trace, "s.");
        EXPECT_EQUAL(service.bufferevents, 1);
        finish(&service, &client);
    }
}

/* ---- What a handler leaves behind ---- */

static void note_close(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    (void)arg;
    look('c', "handler");
}

static int set_close(void *arg)
{
    struct service *service = arg;

    evhttp_connection_set_closecb(evhttp_request_get_connection(service->request), note_close, service);
    evhttp_send_reply(service->request, HTTP_OK, "OK", NULL);
    return 0;
}

static void answer_and_wait_for_close(struct evhttp_request *request, void *arg)
{
    struct service *service = arg;

    look('s', NULL);
    service->request = request;
    with("handler", set_close, service);
}

static void c38_the_close_of_a_connection_is_told_in_the_context_that_waits_for_it(void)
{
    struct service service;
    struct http_client client;
    long before = weft_contexts_alive();

    begin(&service, answer_and_wait_for_close);
    ask(&service, &client);
    EXPECT(is_awaited("http close"));
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    finish(&service, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_TEXT(trace, "s.c");
}

static void never_closes(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    (void)arg;
    EXPECT_NOT_REACHED();
}

static int set_never_closes(void *arg)
{
    evhttp_connection_set_closecb(((struct http_client *)arg)->connection, never_closes, NULL);
    return 0;
}

static int set_close_of_client(void *arg)
{
    evhttp_connection_set_closecb(((struct http_client *)arg)->connection, note_close, NULL);
    return 0;
}

static int set_no_close(void *arg)
{
    evhttp_connection_set_closecb(((struct http_client *)arg)->connection, NULL, NULL);
    return 0;
}

static int free_connection(void *arg)
{
    evhttp_connection_free(((struct http_client *)arg)->connection);
    EXPECT_TEXT(weft_get("a"), "other");
    return 0;
}

static void c38_c63_the_last_who_waits_for_the_close_is_told_whoever_closes(void)
{
    struct service service;
    struct http_client client;
    long before = weft_contexts_alive();

    begin(&service, answer);
    ask(&service, &client);
    with("1", set_never_closes, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("2", set_no_close, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    with("1", set_never_closes, &client);
    with("handler", set_close_of_client, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("other", free_connection, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_TEXT(trace, "s.c");
    evbuffer_free(service.chunk);
    http_server_end(&service.server);
}

/* ---- Replies in parts ---- */

static void send_next_chunk(struct evhttp_connection *connection, void *arg)
{
    struct service *service = arg;

    (void)connection;
    look('n', "handler");
    if (--service->chunks_left == 0) {
        evhttp_send_reply_end(service->request);
        look('.', "handler");
        return;
    }
    EXPECT_EQUAL(evbuffer_add(service->chunk, "chunk", 5), 0);
    evhttp_send_reply_chunk_with_cb(service->request, service->chunk, send_next_chunk, service);
}

static void note_reply_sent(struct evhttp_request *request, void *arg)
{
    (void)request;
    (void)arg;
    look('o', "handler");
}

static void never_sent(struct evhttp_request *request, void *arg)
{
    (void)request;
    (void)arg;
    EXPECT_NOT_REACHED();
}

static void never_sent_chunk(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    (void)arg;
    EXPECT_NOT_REACHED();
}

static int send_first_chunk(void *arg)
{
    struct service *service = arg;

    evhttp_request_set_on_complete_cb(service->request, never_sent, service);
    evhttp_request_set_on_complete_cb(service->request, note_reply_sent, service);
    evhttp_send_reply_start(service->request, HTTP_OK, "OK");
    EXPECT_EQUAL(evbuffer_add(service->chunk, "chunk", 5), 0);
    evhttp_send_reply_chunk_with_cb(service->request, service->chunk, send_next_chunk, service);
    /* An empty chunk is none. */
    evhttp_send_reply_chunk_with_cb(service->request, service->chunk, never_sent_chunk, service);
    return 0;
}

static void answer_in_parts(struct evhttp_request *request, void *arg)
{
    struct service *service = arg;

    service->request = request;
    with("handler", send_first_chunk, service);
}

static void c38_c63_parts_of_a_reply_and_its_end_are_told_in_the_context_that_sends_it(void)
{
    struct service service;
    struct http_client client;
    long before = weft_contexts_alive();

    begin(&service, answer_in_parts);
    ask(&service, &client);
    EXPECT_EQUAL(client.code, HTTP_OK);
    EXPECT_TEXT(trace, "nnn.o.");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    finish(&service, &client);
}

static int set_close_of_request(void *arg)
{
    evhttp_connection_set_closecb(evhttp_request_get_connection(((struct service *)arg)->request), note_close, arg);
    return 0;
}

static void wait_for_ever(struct evhttp_request *request, void *arg)
{
    struct service *service = arg;

    service->request = request;
    service->chunks_left = 100;
    with("handler", set_close_of_request, service);
    with("handler", send_first_chunk, service);
    EXPECT_EQUAL(event_base_loopbreak(service->server.base), 0);
}

static void c63_a_reply_that_is_never_ended_holds_its_context_no_longer_than_its_connection(void)
{
    struct service service;
    struct http_client client;
    long before = weft_contexts_alive();

    begin(&service, wait_for_ever);
    ask(&service, &client);
    EXPECT(weft_contexts_alive() > before);
    evhttp_connection_free(client.connection);
    evbuffer_free(service.chunk);
    /* The server's connections are freed with it; the request is its handler's. */
    http_server_end(&service.server);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c34_handlers_run_at_the_root),
        CONFORMANCE_CASE(c38_the_close_of_a_connection_is_told_in_the_context_that_waits_for_it),
        CONFORMANCE_CASE(c38_c63_the_last_who_waits_for_the_close_is_told_whoever_closes),
        CONFORMANCE_CASE(c38_c63_parts_of_a_reply_and_its_end_are_told_in_the_context_that_sends_it),
        CONFORMANCE_CASE(c63_a_reply_that_is_never_ended_holds_its_context_no_longer_than_its_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
