/*
 * A DNS server at the root, on a port of 127.0.0.1, and a client's resolver that asks it, as in libevent's sample. It
 * answers every name, but says that those with "missing" are, and is silent about those with "silent".
 */
#pragma once

#include <unistd.h>

#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/event.h>

#include "tests/support/plain_libevent.h"

struct dns_server {
    struct event_base *base;
    struct evdns_base *resolver; /* the client's */
    struct evdns_server_port *port;
    evutil_socket_t fd;
    int left; /* lookups that are not done */
};

static inline int dns_server_add_answer(struct evdns_server_request *request,
                                        const struct evdns_server_question *question)
{
    static const unsigned char ipv6[16] = {[15] = 1};
    ev_uint32_t ipv4 = htonl(INADDR_LOOPBACK);

    switch (question->type) {
    case EVDNS_TYPE_A:
        return evdns_server_request_add_a_reply(request, question->name, 1, &ipv4, 10);
    case EVDNS_TYPE_AAAA:
        return evdns_server_request_add_aaaa_reply(request, question->name, 1, ipv6, 10);
    case EVDNS_TYPE_PTR:
        return evdns_server_request_add_ptr_reply(request, NULL, question->name, "host.example", 10);
    default:
        return -1;
    }
}

static inline void dns_server_answer(struct evdns_server_request *request, void *arg)
{
    const struct evdns_server_question *question = request->questions[0];
    int error = strcasestr(question->name, "missing") ? DNS_ERR_NOTEXIST : DNS_ERR_NONE;

    (void)arg;
    EXPECT_TEXT(weft_get("a"), NULL);
    if (strcasestr(question->name, "silent")) {
        EXPECT_EQUAL(evdns_server_request_drop(request), 0);
        return;
    }
    if (error == DNS_ERR_NONE)
        EXPECT_EQUAL(dns_server_add_answer(request, question), 0);
    EXPECT_EQUAL(evdns_server_request_respond(request, error), 0);
}

static inline int dns_server_listen(void *arg)
{
    struct dns_server *server = arg;

    server->fd = bound_socket(SOCK_DGRAM);
    server->port = evdns_add_server_port_with_base(server->base, server->fd, 0, dns_server_answer, NULL);
    return 0;
}

static inline int dns_server_make_resolver(void *arg)
{
    struct dns_server *server = arg;
    struct sockaddr_in address = loopback(port_of(server->fd));

    server->resolver = evdns_base_new(server->base, 0);
    EXPECT_EQUAL(evdns_base_nameserver_sockaddr_add(server->resolver, (struct sockaddr *)&address, sizeof(address), 0),
                 0);
    return 0;
}

static inline void dns_server_begin(struct dns_server *server)
{
    *server = (struct dns_server){.base = event_base_new()};
    trace_clear();
    with(NULL, dns_server_listen, server);
    with("maker", dns_server_make_resolver, server);
}

/* Runs the loop until so many lookups are done. */
static inline void dns_server_run(struct dns_server *server, int lookups)
{
    server->left = lookups;
    EXPECT(event_base_dispatch(server->base) >= 0);
}

static inline void dns_server_end(struct dns_server *server)
{
    if (server->resolver)
        evdns_base_free(server->resolver, 0);
    evdns_close_server_port(server->port);
    (void)close(server->fd);
    event_base_free(server->base);
}

/* ---- A lookup, and what it is to see ---- */

struct dns_lookup {
    struct dns_server *server;
    const char *name;
    const char *wanted;
    char letter;
    int result;
    struct evdns_request *request;
};

static inline void dns_lookup_is_done(const struct dns_lookup *lookup)
{
    look(lookup->letter, lookup->wanted);
    if (--lookup->server->left == 0)
        EXPECT_EQUAL(event_base_loopbreak(lookup->server->base), 0);
}

static inline void dns_lookup_note(int result, char type, int count, int ttl, void *addresses, void *arg)
{
    struct dns_lookup *lookup = arg;

    (void)type;
    (void)ttl;
    EXPECT_EQUAL(count, result == DNS_ERR_NONE ? 1 : 0);
    EXPECT_EQUAL(addresses != NULL, result == DNS_ERR_NONE);
    lookup->result = result;
    dns_lookup_is_done(lookup);
}
