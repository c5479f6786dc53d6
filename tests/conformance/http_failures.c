/* HTTP requests of plain libevent clients that come to nothing: C48, C63 and failure mode 11. */
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "tests/conformance/harness.h"
#include "tests/support/http_server.h"

/* ---- A server that sends what it is told to, and hangs up ---- */

struct liar {
    struct event_base *base;
    struct evconnlistener *listener;
    const char *answer;
};

static void hang_up(struct bufferevent *bufferevent, void *arg)
{
    (void)arg;
    bufferevent_free(bufferevent);
}

static void hang_up_too(struct bufferevent *bufferevent, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_free(bufferevent);
}

static void tell_lie(struct bufferevent *bufferevent, void *arg)
{
    struct liar *liar = arg;

    EXPECT_TEXT(weft_get("a"), NULL);
    bufferevent_setcb(bufferevent, NULL, hang_up, hang_up_too, liar);
    EXPECT_EQUAL(bufferevent_write(bufferevent, liar->answer, strlen(liar->answer)), 0);
}

static void accept_one(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                       void *liar)
{
    struct bufferevent *bufferevent =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address;
    (void)size;
    bufferevent_setcb(bufferevent, tell_lie, NULL, hang_up_too, liar);
    EXPECT_EQUAL(bufferevent_enable(bufferevent, EV_READ | EV_WRITE), 0);
}

static int listen_to_lie(void *arg)
{
    struct liar *liar = arg;
    struct sockaddr_in address = loopback(0);

    liar->listener = evconnlistener_new_bind(liar->base, accept_one, liar, LEV_OPT_CLOSE_ON_FREE, -1,
                                             (struct sockaddr *)&address, sizeof(address));
    return 0;
}

/* Two jobs and the root ask such a server, on one connection; each is to be told `error` in its own context. */
static void ask_liar(const char *answer, enum evhttp_request_error error)
{
    static const char *const values[] = {"1", "2", NULL};
    struct http_server server = {.base = event_base_new()};
    struct liar liar = {.base = server.base, .answer = answer};
    struct http_client clients[3];
    int left = 3;

    trace_clear();
    with(NULL, listen_to_lie, &liar);
    server.port = port_of(evconnlistener_get_fd(liar.listener));
    for (int i = 0; i < 3; i++) {
        clients[i] = (struct http_client){
            .server = &server, .path = "/", .wanted = values[i], .left = &left, .letter = (char)('1' + i)};
        if (i == 0)
            with("maker", http_client_connect, &clients[0]);
        clients[i].connection = clients[0].connection;
        with(values[i], http_client_ask, &clients[i]);
    }
    http_server_run(&server);
    EXPECT_TEXT(trace, "e1e2e3");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL(clients[i].error, error);
        EXPECT_EQUAL(clients[i].code, -1);
    }
    evhttp_connection_free(clients[0].connection);
    evconnlistener_free(liar.listener);
    EXPECT(event_base_loop(server.base, EVLOOP_NONBLOCK) >= 0);
    event_base_free(server.base);
}

static void c48_an_answer_that_is_not_http_is_told_in_the_context_of_its_request(void)
{
    ask_liar("SMTP ready\r\n", EVREQ_HTTP_INVALID_HEADER);
}

static void c48_a_connection_that_is_lost_is_told_in_the_context_of_its_request(void)
{
    ask_liar("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", EVREQ_HTTP_EOF);
}

/* ---- Time-outs, refused connections, requests that cannot be sent ---- */

/* A client that is connected, and has no time. */
static void connect_in_a_hurry(struct http_client *client, const char *path)
{
    const struct timeval moment = {.tv_usec = 20000};

    http_server_begin(client->server);
    with("maker", http_client_connect, client);
    client->path = "/path";
    with(client->wanted, http_client_ask, client);
    http_server_run(client->server);
    EXPECT_EQUAL(client->code, HTTP_OK);
    evhttp_connection_set_timeout_tv(client->connection, &moment);
    client->path = path;
    trace_clear();
}

static void c48_a_time_out_is_told_in_the_context_of_its_request(void)
{
    static const char *const values[] = {"1", NULL};

    for (int i = 0; i < 2; i++) {
        struct http_server server;
        struct http_client client = {.server = &server, .wanted = values[i], .letter = '.'};

        connect_in_a_hurry(&client, "/never");
        with(values[i], http_client_ask, &client);
        http_server_run(&server);
        EXPECT_TEXT(trace, "e.");
        EXPECT_EQUAL(client.error, EVREQ_HTTP_TIMEOUT);
        evhttp_connection_free(client.connection);
        http_server_end(&server);
    }
}

/* A refused connection is not an error of any request: all that wait for it are called, with no answer. */
static void refuse(int retries)
{
    static const char *const values[] = {"1", NULL, "3"};
    const struct timeval soon = {.tv_usec = 1000};
    evutil_socket_t nobody = bound_socket(SOCK_STREAM);
    struct http_server server = {.base = event_base_new(), .port = port_of(nobody)};
    struct http_client clients[3];
    int left = 3;

    trace_clear();
    for (int i = 0; i < 3; i++) {
        clients[i] = (struct http_client){
            .server = &server, .path = "/", .wanted = values[i], .left = &left, .letter = (char)('1' + i)};
        if (i == 0)
            with("maker", http_client_connect, &clients[0]);
        clients[i].connection = clients[0].connection;
        evhttp_connection_set_initial_retry_tv(clients[0].connection, &soon);
        evhttp_connection_set_retries(clients[0].connection, retries);
        with(values[i], http_client_ask, &clients[i]);
    }
    http_server_run(&server);
    EXPECT_TEXT(trace, "123");
    EXPECT_EQUAL(clients[0].code, 0);
    evhttp_connection_free(clients[0].connection);
    event_base_free(server.base);
    (void)close(nobody);
}

static void c48_refused_connections_are_told_in_the_context_of_each_request(void)
{
    refuse(0);
    refuse(2);
}

static int ask_in_vain(void *arg)
{
    struct http_client *client = arg;

    /* Not an address of this machine. */
    evhttp_connection_set_local_address(client->connection, "192.0.2.1");
    EXPECT_EQUAL(http_client_ask(arg), -1);
    /* libevent leaves a request that it could not send to its maker. */
    evhttp_request_free(client->request);
    return 0;
}

static void c48_c63_a_request_that_cannot_be_sent_holds_no_context(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .path = "/path", .wanted = "1", .letter = '1'};
    long before = weft_contexts_alive();

    http_server_begin(&server);
    with("1", http_client_connect, &client);
    with("1", ask_in_vain, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_TEXT(trace, "");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

static int refuse_header(struct evhttp_request *request, void *arg)
{
    (void)request;
    look('h', ((struct http_client *)arg)->wanted);
    return -1;
}

static int ask_and_refuse_header(void *arg)
{
    struct http_client *client = arg;

    EXPECT_EQUAL(http_client_ask(arg), 0);
    evhttp_request_set_header_cb(client->request, refuse_header);
    return 0;
}

static void c48_an_answer_that_the_client_refuses_is_told_in_its_context(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .path = "/path", .wanted = "1", .letter = '1'};

    http_server_begin(&server);
    with("maker", http_client_connect, &client);
    with("1", ask_and_refuse_header, &client);
    http_server_run(&server);
    EXPECT_TEXT(trace, "he1");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

/* ---- Cancelling ---- */

static int cancel(void *arg)
{
    evhttp_cancel_request(((struct http_client *)arg)->request);
    EXPECT_TEXT(weft_get("a"), "canceller");
    return 0;
}

static void c48_a_cancelled_request_is_told_in_its_context_and_one_that_waited_holds_none_any_more(void)
{
    struct http_server server;
    struct http_client first = {.server = &server, .path = "/never", .wanted = "1", .letter = '1'};
    struct http_client second = {.server = &server, .path = "/path", .wanted = "2", .letter = '2'};
    struct http_client third = {.server = &server, .path = "/path", .wanted = NULL, .letter = '3'};
    long before = weft_contexts_alive();

    http_server_begin(&server);
    with("maker", http_client_connect, &first);
    second.connection = third.connection = first.connection;
    with("1", http_client_ask, &first);
    with("2", http_client_ask, &second);
    with(NULL, http_client_ask, &third);
    EXPECT_EQUAL(weft_contexts_alive(), before + 2);
    with("canceller", cancel, &second);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    EXPECT_TEXT(trace, "");
    with("canceller", cancel, &first);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_TEXT(trace, "e");
    EXPECT_EQUAL(first.error, EVREQ_HTTP_REQUEST_CANCEL);
    http_server_run(&server);
    EXPECT_TEXT(trace, "e3");
    evhttp_connection_free(first.connection);
    http_server_end(&server);
}

static void cancel_at_first_chunk(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;

    look('c', client->wanted);
    evhttp_cancel_request(request);
    look('.', client->wanted);
    http_client_is_done(client);
}

static int ask_until_first_chunk(void *arg)
{
    struct http_client *client = arg;

    EXPECT_EQUAL(http_client_ask(arg), 0);
    evhttp_request_set_chunked_cb(client->request, cancel_at_first_chunk);
    return 0;
}

static void c48_a_request_may_be_cancelled_by_its_own_callback(void)
{
    static const char *const paths[] = {"/chunks", "/big/0"};

    for (int i = 0; i < 2; i++) {
        struct http_server server;
        struct http_client client = {.server = &server, .path = paths[i], .wanted = "1", .letter = '1'};
        long before = weft_contexts_alive();

        http_server_begin(&server);
        with("maker", http_client_connect, &client);
        with("1", ask_until_first_chunk, &client);
        http_server_run(&server);
        EXPECT_EQUAL(weft_contexts_alive(), before);
        EXPECT_TEXT(trace, "ce.");
        evhttp_connection_free(client.connection);
        http_server_end(&server);
    }
}

/* ---- Freeing ---- */

static void c63_requests_of_a_connection_that_is_freed_are_forgotten(void)
{
    struct http_server server;
    struct http_client first = {.server = &server, .path = "/never", .wanted = "1", .letter = '1'};
    struct http_client second = {.server = &server, .path = "/path", .wanted = "2", .letter = '2'};
    long before = weft_contexts_alive();

    http_server_begin(&server);
    with("maker", http_client_connect, &first);
    second.connection = first.connection;
    with("1", http_client_ask, &first);
    with("2", http_client_ask, &second);
    evhttp_request_own(second.request);
    evhttp_connection_free(first.connection);
    /* One of somebody's own stays, but is told nothing any more. */
    EXPECT_EQUAL(weft_contexts_alive(), before);
    evhttp_request_free(second.request);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_TEXT(trace, "");
    http_server_end(&server);
}

static void free_own_request(enum evhttp_request_error error, void *arg)
{
    struct http_client *client = arg;

    http_client_note_error(error, arg);
    evhttp_request_free(client->request);
    look('.', client->wanted);
}

static int ask_for_ones_own(void *arg)
{
    struct http_client *client = arg;

    EXPECT_EQUAL(http_client_ask(arg), 0);
    evhttp_request_own(client->request);
    evhttp_request_set_error_cb(client->request, free_own_request);
    return 0;
}

static void c48_c63_a_request_of_ones_own_may_be_freed_before_its_end_is_told(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .wanted = "1", .letter = '1'};
    long before = weft_contexts_alive();

    connect_in_a_hurry(&client, "/never");
    with("1", ask_for_ones_own, &client);
    http_server_run(&server);
    EXPECT_TEXT(trace, "e.1");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c48_an_answer_that_is_not_http_is_told_in_the_context_of_its_request),
        CONFORMANCE_CASE(c48_a_connection_that_is_lost_is_told_in_the_context_of_its_request),
        CONFORMANCE_CASE(c48_a_time_out_is_told_in_the_context_of_its_request),
        CONFORMANCE_CASE(c48_refused_connections_are_told_in_the_context_of_each_request),
        CONFORMANCE_CASE(c48_c63_a_request_that_cannot_be_sent_holds_no_context),
        CONFORMANCE_CASE(c48_an_answer_that_the_client_refuses_is_told_in_its_context),
        CONFORMANCE_CASE(c48_a_cancelled_request_is_told_in_its_context_and_one_that_waited_holds_none_any_more),
        CONFORMANCE_CASE(c48_a_request_may_be_cancelled_by_its_own_callback),
        CONFORMANCE_CASE(c63_requests_of_a_connection_that_is_freed_are_forgotten),
        CONFORMANCE_CASE(c48_c63_a_request_of_ones_own_may_be_freed_before_its_end_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
