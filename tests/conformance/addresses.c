/* Addresses of names, connecting by name, and the older functions of evdns: C37, C48, C63. */
#include <netinet/in.h>

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/dns_compat.h>
#include <event2/event_compat.h>
#include <event2/util.h>

#include "tests/conformance/harness.h"
#include "tests/support/dns_server.h"

/* ---- evdns_getaddrinfo() ---- */

struct address_lookup {
    struct dns_lookup lookup;
    struct evdns_getaddrinfo_request *request;
};

static struct address_lookup lookup_of(struct dns_server *server, const char *name, const char *wanted, char letter)
{
    return (struct address_lookup){{.server = server, .name = name, .wanted = wanted, .letter = letter}, NULL};
}

static void note_addresses(int result, struct evutil_addrinfo *addresses, void *arg)
{
    struct address_lookup *lookup = arg;

    EXPECT_EQUAL(addresses != NULL, result == 0);
    if (addresses)
        evutil_freeaddrinfo(addresses);
    lookup->lookup.result = result;
    dns_lookup_is_done(&lookup->lookup);
}

static int ask_addresses(void *arg)
{
    struct address_lookup *lookup = arg;
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    lookup->request =
        evdns_getaddrinfo(lookup->lookup.server->resolver, lookup->lookup.name, "80", &hints, note_addresses, lookup);
    return 0;
}

static int cancel_addresses(void *arg)
{
    evdns_getaddrinfo_cancel(((struct address_lookup *)arg)->request);
    return 0;
}

static void c37_addresses_are_told_in_the_context_that_asked(void)
{
    struct dns_server server;
    struct address_lookup one = lookup_of(&server, "example.org", "1", '1');
    struct address_lookup none = lookup_of(&server, "example.org", NULL, '0');
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    with("1", ask_addresses, &one);
    with(NULL, ask_addresses, &none);
    EXPECT(one.request != NULL && none.request != NULL);
    EXPECT(is_awaited("dns example.org"));
    dns_server_run(&server, 2);
    EXPECT_EQUAL(one.lookup.result, 0);
    EXPECT_EQUAL(none.lookup.result, 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    dns_server_end(&server);
}

/* Before the function returns, which then gives no request. */
static void c37_addresses_that_are_known_are_told_at_once(void)
{
    struct dns_server server;
    struct address_lookup number = lookup_of(&server, "127.0.0.1", "1", '1');
    struct address_lookup none = lookup_of(&server, "::1", NULL, '0');
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    with("1", ask_addresses, &number);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    with(NULL, ask_addresses, &none);
    EXPECT(number.request == NULL && none.request == NULL);
    EXPECT_TEXT(trace, "10");
    dns_server_end(&server);
}

static void c48_a_cancelled_lookup_of_addresses_is_told_in_the_context_that_asked(void)
{
    struct dns_server server;
    struct address_lookup one = lookup_of(&server, "silent.example", "1", '1');

    dns_server_begin(&server);
    with("1", ask_addresses, &one);
    with("canceller", cancel_addresses, &one);
    EXPECT_TEXT(trace, "");
    dns_server_run(&server, 1);
    EXPECT_EQUAL(one.lookup.result, EVUTIL_EAI_CANCEL);
    EXPECT_TEXT(trace, "1");
    dns_server_end(&server);
}

static int free_resolver_and_tell(void *arg)
{
    struct dns_server *server = arg;

    evdns_base_free(server->resolver, 1);
    server->resolver = NULL;
    return 0;
}

static void c48_a_resolver_that_shuts_down_says_so_in_the_context_that_asked(void)
{
    struct dns_server server;
    struct address_lookup one = lookup_of(&server, "silent.example", "1", '1');
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    with("1", ask_addresses, &one);
    with("freer", free_resolver_and_tell, &server);
    EXPECT_TEXT(trace, "");
    dns_server_run(&server, 1);
    EXPECT(one.lookup.result != 0);
    EXPECT_TEXT(trace, "1");
    dns_server_end(&server);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* ---- Connecting by name ---- */

static void note_event(struct bufferevent *bufferevent, short what, void *arg)
{
    struct dns_lookup *lookup = arg;

    EXPECT_EQUAL(what, BEV_EVENT_ERROR);
    lookup->result = bufferevent_socket_get_dns_error(bufferevent);
    bufferevent_free(bufferevent);
    dns_lookup_is_done(lookup);
}

static int connect_by_name(void *arg)
{
    struct dns_lookup *lookup = arg;
    struct bufferevent *bufferevent = bufferevent_socket_new(lookup->server->base, -1, BEV_OPT_CLOSE_ON_FREE);

    bufferevent_setcb(bufferevent, NULL, NULL, note_event, lookup);
    return bufferevent_socket_connect_hostname(bufferevent, lookup->server->resolver, AF_INET, lookup->name, 80);
}

static void c37_c48_a_connection_by_name_is_told_of_in_the_context_that_set_its_callback(void)
{
    struct dns_server server;
    struct dns_lookup one = {.server = &server, .name = "missing.example", .wanted = "1", .letter = '1'};
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    with("1", connect_by_name, &one);
    /* The lookup is the bufferevent's, which holds the context. */
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    dns_server_run(&server, 1);
    EXPECT_EQUAL(one.result, EVUTIL_EAI_NONAME);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    dns_server_end(&server);
}

/* ---- Programs in the older style, which have one base and one resolver ---- */

static int use_global_resolver(void *arg)
{
    struct dns_server *server = arg;
    char address[32];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port_of(server->fd));
    if (evdns_init() < 0)
        return -1;
    /* It has read what this machine asks, which is not to be asked. */
    EXPECT_EQUAL(evdns_clear_nameservers_and_suspend(), 0);
    evdns_search_clear();
    EXPECT_EQUAL(evdns_nameserver_ip_add(address), 0);
    EXPECT_EQUAL(evdns_resume(), 0);
    return 0;
}

static int ask_in_the_older_style(void *arg)
{
    const struct dns_lookup *lookup = arg;
    struct in_addr ipv4 = {.s_addr = htonl(INADDR_LOOPBACK)};

    EXPECT_EQUAL(evdns_resolve_ipv4(lookup->name, 0, dns_lookup_note, arg), 0);
    EXPECT_EQUAL(evdns_resolve_ipv6(lookup->name, 0, dns_lookup_note, arg), 0);
    EXPECT_EQUAL(evdns_resolve_reverse(&ipv4, 0, dns_lookup_note, arg), 0);
    EXPECT_EQUAL(evdns_resolve_reverse_ipv6(&in6addr_loopback, 0, dns_lookup_note, arg), 0);
    return 0;
}

static void c37_c63_the_older_functions_are_answered_in_the_context_that_asked_or_hold_none(void)
{
    struct dns_server server = {.base = event_init()};
    struct dns_lookup one = {.server = &server, .name = "example.org", .wanted = "1", .letter = '1'};
    struct dns_lookup none = {.server = &server, .name = "example.org", .wanted = NULL, .letter = '0'};
    struct dns_lookup silent = {.server = &server, .name = "silent.example", .wanted = "2", .letter = '2'};
    long before = weft_contexts_alive();

    trace_clear();
    with(NULL, dns_server_listen, &server);
    /* Without a resolv.conf, there is no such resolver. */
    if (use_global_resolver(&server) == 0) {
        with("1", ask_in_the_older_style, &one);
        with(NULL, ask_in_the_older_style, &none);
        dns_server_run(&server, 8);
        EXPECT_EQUAL(trace_size, 8);
        EXPECT_EQUAL(weft_contexts_alive(), before);
        EXPECT_EQUAL(weft_run_with("a", "2", ask_in_the_older_style, &silent), 0);
        EXPECT_EQUAL(weft_contexts_alive(), before + 1);
        evdns_shutdown(0);
    }
    dns_server_end(&server);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c37_addresses_are_told_in_the_context_that_asked),
        CONFORMANCE_CASE(c37_addresses_that_are_known_are_told_at_once),
        CONFORMANCE_CASE(c48_a_cancelled_lookup_of_addresses_is_told_in_the_context_that_asked),
        CONFORMANCE_CASE(c48_a_resolver_that_shuts_down_says_so_in_the_context_that_asked),
        CONFORMANCE_CASE(c37_c48_a_connection_by_name_is_told_of_in_the_context_that_set_its_callback),
        CONFORMANCE_CASE(c37_c63_the_older_functions_are_answered_in_the_context_that_asked_or_hold_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
