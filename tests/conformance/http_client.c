/* HTTP clients in plain libevent: C43 to C46, C63, and the failure modes 1 and 6. */
#include "tests/conformance/harness.h"
#include "tests/support/http_server.h"

/* ---- C43: requests that wait for a connection ---- */

static void c43_requests_that_wait_for_a_busy_connection_see_their_own_context(void)
{
    static const char *const values[] = {"1", "2", NULL, "1"};
    struct http_server server;
    struct http_client clients[4];
    int left = 4;

    http_server_begin(&server);
    for (int i = 0; i < 4; i++) {
        clients[i] = (struct http_client){
            .server = &server, .path = "/path", .wanted = values[i], .left = &left, .letter = (char)('0' + i)};
        if (i == 0)
            with("maker", http_client_connect, &clients[0]);
        clients[i].connection = clients[0].connection;
        with(values[i], http_client_ask, &clients[i]);
    }
    http_server_run(&server);
    EXPECT_TEXT(trace, "0123");
    EXPECT_EQUAL(server.requests, 4);
    evhttp_connection_free(clients[0].connection);
    http_server_end(&server);
}

/* ---- C44, failures 1 and 6: connections that are used again ---- */

static void c44_failures_1_and_6_a_connection_shows_each_job_its_own_context_and_holds_none_between(void)
{
    static const char *const values[] = {"1", "2", NULL, "3"};
    struct http_server server;
    struct http_client client = {.server = &server, .path = "/path", .letter = '.'};
    long before = weft_contexts_alive();

    http_server_begin(&server);
    with("maker", http_client_connect, &client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    for (int i = 0; i < 4; i++) {
        client.wanted = values[i];
        with(values[i], http_client_ask, &client);
        EXPECT_EQUAL(weft_contexts_alive(), before + (values[i] ? 1 : 0));
        http_server_run(&server);
        EXPECT_EQUAL(client.code, HTTP_OK);
        EXPECT_EQUAL(weft_contexts_alive(), before);
    }
    EXPECT_TEXT(trace, "....");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

/* ---- C45 ---- */

static void c45_a_request_of_the_root_on_a_connection_of_a_job_is_answered_at_the_root(void)
{
    struct http_server server;
    struct http_client job = {.server = &server, .path = "/path", .wanted = "1", .letter = '1'};

    http_server_begin(&server);
    with("1", http_client_connect, &job);
    struct http_client root = {
        .server = &server, .connection = job.connection, .path = "/path", .wanted = NULL, .letter = '0'};
    int left = 2;
    job.left = root.left = &left;
    with("1", http_client_ask, &job);
    with(NULL, http_client_ask, &root);
    http_server_run(&server);
    EXPECT_TEXT(trace, "10");
    evhttp_connection_free(job.connection);
    http_server_end(&server);
}

/* ---- C46: bodies that find their place by the context only ---- */

enum { BODIES = 10 };

struct body {
    struct http_server *server;
    struct evhttp_connection *connection;
    size_t received, foreign;
    char letter;
    bool is_done;
};

static int bodies_left;

static void add_to_body(struct evhttp_request *request, void *arg)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    struct body *body = weft_get_pointer("body");
    size_t size = evbuffer_get_length(input);
    const unsigned char *data = evbuffer_pullup(input, -1);

    EXPECT(arg == NULL);
    body->received += size;
    for (size_t i = 0; i < size; i++)
        body->foreign += data[i] != (unsigned char)body->letter;
}

static void end_body(struct evhttp_request *request, void *arg)
{
    struct body *body = weft_get_pointer("body");

    EXPECT(arg == NULL);
    EXPECT_EQUAL(evhttp_request_get_response_code(request), HTTP_OK);
    body->is_done = true;
    if (--bodies_left == 0)
        EXPECT_EQUAL(event_base_loopbreak(body->server->base), 0);
}

static int fetch_body(void *arg)
{
    struct body *body = arg;
    char path[] = {'/', 'b', 'i', 'g', '/', body->letter, '\0'};

    EXPECT_EQUAL(weft_set_pointer("body", body, NULL), 0);
    body->connection = evhttp_connection_base_new(body->server->base, NULL, "127.0.0.1", body->server->port);
    struct evhttp_request *request = evhttp_request_new(end_body, NULL);
    evhttp_request_set_chunked_cb(request, add_to_body);
    return evhttp_make_request(body->connection, request, EVHTTP_REQ_GET, path);
}

static void c46_ten_big_bodies_at_once_are_gathered_by_their_contexts_only(void)
{
    struct http_server server;
    struct body bodies[BODIES];

    http_server_begin(&server);
    bodies_left = BODIES;
    for (int i = 0; i < BODIES; i++) {
        bodies[i] = (struct body){.server = &server, .letter = (char)('0' + i)};
        with("job", fetch_body, &bodies[i]);
    }
    http_server_run(&server);
    for (int i = 0; i < BODIES; i++) {
        EXPECT(bodies[i].is_done);
        EXPECT_EQUAL(bodies[i].received, HTTP_SERVER_BIG);
        EXPECT_EQUAL(bodies[i].foreign, 0);
        evhttp_connection_free(bodies[i].connection);
    }
    http_server_end(&server);
}

/* ---- C46: all callbacks of a request ---- */

static int note_header(struct evhttp_request *request, void *arg)
{
    look('h', ((struct http_client *)arg)->wanted);
    /* While it is on its way. */
    evhttp_request_set_chunked_cb(request, http_client_note_chunk);
    return 0;
}

static int ask_for_chunks(void *arg)
{
    struct http_client *client = arg;

    client->request = evhttp_request_new(http_client_note_done, client);
    evhttp_request_set_header_cb(client->request, note_header);
    evhttp_request_set_error_cb(client->request, http_client_note_error);
    EXPECT_EQUAL(evhttp_make_request(client->connection, client->request, EVHTTP_REQ_GET, "/chunks"), 0);
    evhttp_request_set_error_cb(client->request, NULL);
    return 0;
}

static void c46_headers_and_chunks_are_told_in_the_context_of_the_request(void)
{
    static const char *const values[] = {"1", NULL};
    struct http_server server;
    struct http_client client = {.server = &server, .letter = '.'};

    http_server_begin(&server);
    with("maker", http_client_connect, &client);
    for (int i = 0; i < 2; i++) {
        client.wanted = values[i];
        with(values[i], ask_for_chunks, &client);
        http_server_run(&server);
    }
    EXPECT_TEXT(trace, "hccc.hccc.");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

/* ---- What a callback may do ---- */

static void ask_again(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;

    EXPECT_EQUAL(evhttp_request_get_response_code(request), HTTP_OK);
    look('.', client->wanted);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    client->wanted = "2";
    EXPECT_EQUAL(http_client_ask(client), 0);
}

static int ask_twice(void *arg)
{
    struct http_client *client = arg;

    return evhttp_make_request(client->connection, evhttp_request_new(ask_again, client), EVHTTP_REQ_GET, "/path");
}

static void c44_a_request_that_is_made_by_a_callback_sees_what_that_had_set(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .path = "/path", .wanted = "1", .letter = '2'};

    http_server_begin(&server);
    with("maker", http_client_connect, &client);
    with("1", ask_twice, &client);
    http_server_run(&server);
    EXPECT_TEXT(trace, ".2");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

static void keep_request_and_free_connection(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;

    evhttp_request_own(request);
    client->request = request;
    evhttp_connection_free(client->connection);
    http_client_note_done(request, arg);
}

static int ask_to_keep(void *arg)
{
    struct http_client *client = arg;

    client->request = evhttp_request_new(keep_request_and_free_connection, client);
    return evhttp_make_request(client->connection, client->request, EVHTTP_REQ_GET, "/path");
}

static void c63_an_answer_that_is_kept_and_a_connection_that_is_freed_hold_no_context(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .wanted = "1", .letter = '1'};
    long before = weft_contexts_alive();

    http_server_begin(&server);
    with("1", http_client_connect, &client);
    with("1", ask_to_keep, &client);
    http_server_run(&server);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT_EQUAL(evbuffer_get_length(evhttp_request_get_input_buffer(client.request)), strlen("/path"));
    evhttp_request_free(client.request);
    EXPECT_TEXT(trace, "1");
    http_server_end(&server);
}

/* ---- What it says of itself ---- */

static void c43_a_request_says_what_it_asks_whom_for(void)
{
    struct http_server server;
    struct http_client client = {.server = &server, .path = "/path?q=1", .wanted = "1", .letter = '1'};
    char words[OPERATION_DESCRIPTION_SIZE], proxied[OPERATION_DESCRIPTION_SIZE];

    http_server_begin(&server);
    (void)snprintf(words, sizeof(words), "http GET 127.0.0.1:%u/path?q=1", server.port);
    (void)snprintf(proxied, sizeof(proxied), "http GET http://localhost/ by way of 127.0.0.1:%u", server.port);
    with("1", http_client_connect, &client);
    with("1", http_client_ask, &client);
    EXPECT(is_awaited(words));
    http_server_run(&server);
    EXPECT(!is_awaited(words));
    client.path = "http://localhost/";
    with("1", http_client_ask, &client);
    EXPECT(is_awaited(proxied));
    http_server_run(&server);
    EXPECT_TEXT(trace, "11");
    evhttp_connection_free(client.connection);
    http_server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c43_requests_that_wait_for_a_busy_connection_see_their_own_context),
        CONFORMANCE_CASE(c44_failures_1_and_6_a_connection_shows_each_job_its_own_context_and_holds_none_between),
        CONFORMANCE_CASE(c45_a_request_of_the_root_on_a_connection_of_a_job_is_answered_at_the_root),
        CONFORMANCE_CASE(c46_ten_big_bodies_at_once_are_gathered_by_their_contexts_only),
        CONFORMANCE_CASE(c46_headers_and_chunks_are_told_in_the_context_of_the_request),
        CONFORMANCE_CASE(c44_a_request_that_is_made_by_a_callback_sees_what_that_had_set),
        CONFORMANCE_CASE(c63_an_answer_that_is_kept_and_a_connection_that_is_freed_hold_no_context),
        CONFORMANCE_CASE(c43_a_request_says_what_it_asks_whom_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
