/* Clients and servers in plain libevent, as its sample programs are written: C33, C34, C38, C48. */
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "tests/conformance/harness.h"
#include "tests/support/plain_libevent.h"

/* ---- A server that answers with what it was sent ---- */

struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    const char *wanted; /* what its callbacks are to see */
    ev_uint16_t port;
    int accepted;
};

static void answer(struct bufferevent *bufferevent, void *server)
{
    EXPECT_TEXT(weft_get("a"), ((struct server *)server)->wanted);
    EXPECT_EQUAL(bufferevent_write_buffer(bufferevent, bufferevent_get_input(bufferevent)), 0);
}

static void hang_up(struct bufferevent *bufferevent, short what, void *server)
{
    EXPECT_TEXT(weft_get("a"), ((struct server *)server)->wanted);
    EXPECT(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR));
    bufferevent_free(bufferevent);
}

static void accept_one(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                       void *arg)
{
    struct server *server = arg;
    struct bufferevent *bufferevent =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address;
    (void)size;
    server->accepted++;
    EXPECT_TEXT(weft_get("a"), server->wanted);
    bufferevent_setcb(bufferevent, answer, NULL, hang_up, server);
    EXPECT_EQUAL(bufferevent_enable(bufferevent, EV_READ | EV_WRITE), 0);
}

static int listen_by_name(void *arg)
{
    struct server *server = arg;
    struct sockaddr_in address = loopback(0);

    server->listener = evconnlistener_new_bind(server->base, accept_one, server, LEV_OPT_CLOSE_ON_FREE, -1,
                                               (struct sockaddr *)&address, sizeof(address));
    server->port = port_of(evconnlistener_get_fd(server->listener));
    return 0;
}

/* ---- Clients ---- */

struct client {
    struct server *server;
    const char *wanted;
    int options;
    int *left; /* clients that are not done */
    unsigned connected, read, written;
};

static void client_is_done(struct client *client)
{
    if (--*client->left == 0) {
        evconnlistener_free(client->server->listener);
        client->server->listener = NULL;
    }
}

static void note_written(struct bufferevent *bufferevent, void *arg)
{
    struct client *client = arg;

    (void)bufferevent;
    client->written++;
    EXPECT_TEXT(weft_get("a"), client->wanted);
}

static void note_read(struct bufferevent *bufferevent, void *arg)
{
    struct client *client = arg;

    EXPECT_TEXT(weft_get("a"), client->wanted);
    if (evbuffer_get_length(bufferevent_get_input(bufferevent)) < 5)
        return;
    client->read++;
    bufferevent_free(bufferevent);
    EXPECT_TEXT(weft_get("a"), client->wanted);
    client_is_done(client);
}

static void note_event(struct bufferevent *bufferevent, short what, void *arg)
{
    struct client *client = arg;

    (void)bufferevent;
    EXPECT_EQUAL(what, BEV_EVENT_CONNECTED);
    client->connected++;
    EXPECT_TEXT(weft_get("a"), client->wanted);
}

static int connect_client(void *arg)
{
    struct client *client = arg;
    struct sockaddr_in address = loopback(client->server->port);
    struct bufferevent *bufferevent = bufferevent_socket_new(client->server->base, -1, client->options);

    bufferevent_setcb(bufferevent, note_read, note_written, note_event, client);
    EXPECT_EQUAL(bufferevent_enable(bufferevent, EV_READ | EV_WRITE), 0);
    EXPECT_EQUAL(bufferevent_socket_connect(bufferevent, (struct sockaddr *)&address, sizeof(address)), 0);
    return bufferevent_write(bufferevent, "hello", 5);
}

/* Three clients of a server that `listen` makes in the context `server_wanted`. */
static void serve(int (*listen)(void *server), const char *server_wanted, int options)
{
    static const char *const values[] = {"1", "2", NULL};
    struct server server = {.base = event_base_new(), .wanted = server_wanted};
    struct client clients[3];
    int left = 3;

    with(server_wanted, listen, &server);
    for (int i = 0; i < 3; i++) {
        clients[i] = (struct client){
            .server = &server, .wanted = values[i], .options = options | BEV_OPT_CLOSE_ON_FREE, .left = &left};
        with(values[i], connect_client, &clients[i]);
    }
    EXPECT(event_base_dispatch(server.base) >= 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL(clients[i].connected, 1);
        EXPECT_EQUAL(clients[i].read, 1);
        EXPECT(clients[i].written >= 1);
    }
    EXPECT_EQUAL(server.accepted, 3);
    EXPECT_EQUAL(left, 0);
    event_base_free(server.base);
}

static void c33_tcp_clients_see_the_context_that_connected_them(void)
{
    serve(listen_by_name, NULL, 0);
}

static void c33_tcp_clients_whose_callbacks_are_put_off_see_it_too(void)
{
    serve(listen_by_name, NULL, BEV_OPT_DEFER_CALLBACKS);
}

/* ---- C33: datagrams ---- */

struct datagrams {
    struct event_base *base;
    struct event *server_event;
    ev_uint16_t port;
    int left;
};

struct datagram_client {
    struct datagrams *datagrams;
    const char *wanted;
    struct event *event;
};

static void answer_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    char text[16];
    ssize_t length = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &size);

    (void)what;
    (void)arg;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&from, size), length);
}

static int receive_datagrams(void *arg)
{
    struct datagrams *datagrams = arg;
    evutil_socket_t fd = bound_socket(SOCK_DGRAM);

    datagrams->port = port_of(fd);
    datagrams->server_event = event_new(datagrams->base, fd, EV_READ | EV_PERSIST, answer_datagram, NULL);
    return event_add(datagrams->server_event, NULL);
}

static void note_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct datagram_client *client = arg;
    char text[16];

    EXPECT_EQUAL(what, EV_READ);
    EXPECT_EQUAL(recv(fd, text, sizeof(text), 0), 4);
    EXPECT_TEXT(weft_get("a"), client->wanted);
    event_free(client->event);
    (void)close(fd);
    if (--client->datagrams->left == 0)
        EXPECT_EQUAL(event_del(client->datagrams->server_event), 0);
}

static int send_datagram(void *arg)
{
    struct datagram_client *client = arg;
    struct sockaddr_in address = loopback(client->datagrams->port);
    evutil_socket_t fd = bound_socket(SOCK_DGRAM);

    client->event = event_new(client->datagrams->base, fd, EV_READ | EV_PERSIST, note_datagram, client);
    EXPECT_EQUAL(event_add(client->event, NULL), 0);
    EXPECT_EQUAL(sendto(fd, "ping", 4, 0, (struct sockaddr *)&address, sizeof(address)), 4);
    return 0;
}

static void c33_udp_clients_see_the_context_that_sent(void)
{
    struct datagrams datagrams = {.base = event_base_new(), .left = 3};
    struct datagram_client clients[] = {{.wanted = "1"}, {.wanted = "2"}, {.wanted = NULL}};

    with(NULL, receive_datagrams, &datagrams);
    for (size_t i = 0; i < 3; i++) {
        clients[i].datagrams = &datagrams;
        with(clients[i].wanted, send_datagram, &clients[i]);
    }
    EXPECT_EQUAL(event_base_dispatch(datagrams.base), 1);
    EXPECT_EQUAL(datagrams.left, 0);
    (void)close(event_get_fd(datagrams.server_event));
    event_free(datagrams.server_event);
    event_base_free(datagrams.base);
}

/* ---- C34: listeners ---- */

/* A server that was set up at the root belongs to nobody, though its first client may be a job. */
static void c34_a_listener_of_the_root_accepts_at_the_root(void)
{
    serve(listen_by_name, NULL, 0);
}

/* Node has listeners at the context of listen(), and so has weft. What a job makes once for all is to be made by way of
 * weft_exit(). */
static void c34_a_listener_of_a_job_accepts_in_its_context(void)
{
    serve(listen_by_name, "job", 0);
}

static int listen_on_a_socket(void *arg)
{
    struct server *server = arg;
    evutil_socket_t fd = bound_socket(SOCK_STREAM);
    char words[64];

    server->port = port_of(fd);
    server->listener = evconnlistener_new(server->base, accept_one, server, LEV_OPT_CLOSE_ON_FREE, -1, fd);
    (void)snprintf(words, sizeof(words), "listener on fd %d", (int)fd);
    EXPECT_EQUAL(is_awaited(words), server->wanted != NULL);
    return 0;
}

static void c34_a_listener_on_a_socket_of_ones_own_says_what_it_waits_for(void)
{
    serve(listen_on_a_socket, NULL, 0);
    serve(listen_on_a_socket, "job", 0);
}

static int take_over(void *arg)
{
    struct server *server = arg;

    evconnlistener_set_cb(server->listener, accept_one, server);
    return 0;
}

static void never_accepts(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                          void *arg)
{
    (void)listener;
    (void)fd;
    (void)address;
    (void)size;
    (void)arg;
    EXPECT_NOT_REACHED();
}

static int listen_for_somebody(void *arg)
{
    struct server *server = arg;
    struct sockaddr_in address = loopback(0);

    server->listener = evconnlistener_new_bind(server->base, never_accepts, NULL, LEV_OPT_CLOSE_ON_FREE, -1,
                                               (struct sockaddr *)&address, sizeof(address));
    server->port = port_of(evconnlistener_get_fd(server->listener));
    with(server->wanted, take_over, server);
    return 0;
}

static int listen_for_a_job(void *arg)
{
    long before = weft_contexts_alive();

    with("somebody", listen_for_somebody, arg);
    /* What made the listener is of no importance any more. */
    EXPECT_EQUAL(weft_contexts_alive(), before + (((struct server *)arg)->wanted ? 1 : 0));
    return 0;
}

static void c34_whoever_sets_the_callback_last_is_who_accepts(void)
{
    serve(listen_for_a_job, NULL, 0);
    struct server server = {.base = event_base_new(), .wanted = "job"};
    with(NULL, listen_for_a_job, &server);
    evconnlistener_free(server.listener);
    event_base_free(server.base);
}

/* ---- C34: errors of accept() ---- */

static void note_accept_error(struct evconnlistener *listener, void *arg)
{
    const struct server *server = arg;

    look('e', server->wanted);
    evconnlistener_free(listener);
}

static int handle_errors(void *arg)
{
    struct server *server = arg;

    evconnlistener_set_error_cb(server->listener, note_accept_error);
    return 0;
}

/* Who accepts and who is told of errors may be two; the latter is given the argument of the former. */
static void let_accept_fail(const char *acceptor, const char *handler)
{
    struct server server = {.base = event_base_new(), .wanted = handler};
    evutil_socket_t pair[2];

    EXPECT_EQUAL(evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_EQUAL(evutil_make_socket_nonblocking(pair[0]), 0);
    server.listener = evconnlistener_new(server.base, accept_one, &server, 0, 0, pair[0]);
    with(handler, handle_errors, &server);
    with(acceptor, take_over, &server);
    EXPECT_EQUAL(write(pair[1], "x", 1), 1);
    trace_clear();
    EXPECT_EQUAL(event_base_dispatch(server.base), 1);
    EXPECT_TEXT(trace, "e");
    (void)close(pair[0]);
    (void)close(pair[1]);
    event_base_free(server.base);
}

static void c34_c48_errors_of_a_listener_are_told_in_the_context_that_asked_for_them(void)
{
    let_accept_fail("1", "2");
    let_accept_fail("1", NULL);
    let_accept_fail(NULL, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c33_tcp_clients_see_the_context_that_connected_them),
        CONFORMANCE_CASE(c33_tcp_clients_whose_callbacks_are_put_off_see_it_too),
        CONFORMANCE_CASE(c33_udp_clients_see_the_context_that_sent),
        CONFORMANCE_CASE(c34_a_listener_of_the_root_accepts_at_the_root),
        CONFORMANCE_CASE(c34_a_listener_of_a_job_accepts_in_its_context),
        CONFORMANCE_CASE(c34_a_listener_on_a_socket_of_ones_own_says_what_it_waits_for),
        CONFORMANCE_CASE(c34_whoever_sets_the_callback_last_is_who_accepts),
        CONFORMANCE_CASE(c34_c48_errors_of_a_listener_are_told_in_the_context_that_asked_for_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
