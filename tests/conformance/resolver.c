/* Lookups of plain evdns clients: C37, C48, C63. */
#include <netinet/in.h>

#include "tests/conformance/harness.h"
#include "tests/support/dns_server.h"

/* ---- Lookups ---- */

static int ask_ipv4(void *arg)
{
    struct dns_lookup *lookup = arg;

    lookup->request = evdns_base_resolve_ipv4(lookup->server->resolver, lookup->name, 0, dns_lookup_note, lookup);
    EXPECT(lookup->request != NULL);
    return 0;
}

static int ask_all(void *arg)
{
    struct dns_lookup *lookup = arg;
    struct evdns_base *resolver = lookup->server->resolver;
    struct in_addr ipv4 = {.s_addr = htonl(INADDR_LOOPBACK)};

    EXPECT_EQUAL(ask_ipv4(arg), 0);
    EXPECT(evdns_base_resolve_ipv6(resolver, lookup->name, 0, dns_lookup_note, lookup) != NULL);
    EXPECT(evdns_base_resolve_reverse(resolver, &ipv4, 0, dns_lookup_note, lookup) != NULL);
    EXPECT(evdns_base_resolve_reverse_ipv6(resolver, &in6addr_loopback, 0, dns_lookup_note, lookup) != NULL);
    return 0;
}

static void c37_every_kind_of_lookup_is_answered_in_the_context_that_asked(void)
{
    static const char *const values[] = {"1", "2", NULL};
    struct dns_server server;
    struct dns_lookup lookups[3];

    dns_server_begin(&server);
    for (int i = 0; i < 3; i++) {
        lookups[i] = (struct dns_lookup){&server, "example.org", values[i], '.', -1, NULL};
        with(values[i], ask_all, &lookups[i]);
    }
    EXPECT(is_awaited("dns example.org"));
    EXPECT(is_awaited("dns 127.0.0.1"));
    EXPECT(is_awaited("dns ::1"));
    dns_server_run(&server, 12);
    EXPECT_TEXT(trace, "............");
    dns_server_end(&server);
}

/* The same name at the same time, and one query in flight at most. */
static void c37_callers_that_wait_for_the_same_answer_get_it_in_their_own_contexts(void)
{
    struct dns_server server;

    dns_server_begin(&server);
    EXPECT_EQUAL(evdns_base_set_option(server.resolver, "max-inflight:", "1"), 0);
    struct dns_lookup one = {&server, "example.org", "1", '1', -1, NULL},
                      two = {&server, "example.org", "2", '2', -1, NULL},
                      none = {&server, "example.org", NULL, '0', -1, NULL};
    with("1", ask_ipv4, &one);
    with("2", ask_ipv4, &two);
    with(NULL, ask_ipv4, &none);
    dns_server_run(&server, 3);
    EXPECT_TEXT(trace, "120");
    dns_server_end(&server);
}

static void c37_a_name_that_is_tried_in_several_domains_is_answered_in_the_context_that_asked(void)
{
    struct dns_server server;

    dns_server_begin(&server);
    evdns_base_search_add(server.resolver, "missing.example");
    evdns_base_search_add(server.resolver, "missing.test");
    struct dns_lookup one = {&server, "host", "1", '1', -1, NULL};
    with("1", ask_ipv4, &one);
    dns_server_run(&server, 1);
    EXPECT_EQUAL(one.result, DNS_ERR_NONE);
    EXPECT_TEXT(trace, "1");
    dns_server_end(&server);
}

static void c48_a_name_that_is_missing_or_not_answered_is_told_in_the_context_that_asked(void)
{
    struct dns_server server;
    struct dns_lookup missing = {&server, "missing.example", "1", '1', -1, NULL};
    struct dns_lookup silent = {&server, "silent.example", "2", '2', -1, NULL};

    dns_server_begin(&server);
    with("1", ask_ipv4, &missing);
    dns_server_run(&server, 1);
    EXPECT_EQUAL(missing.result, DNS_ERR_NOTEXIST);
    EXPECT_EQUAL(evdns_base_set_option(server.resolver, "timeout:", "0.02"), 0);
    EXPECT_EQUAL(evdns_base_set_option(server.resolver, "attempts:", "1"), 0);
    with("2", ask_ipv4, &silent);
    dns_server_run(&server, 1);
    EXPECT_EQUAL(silent.result, DNS_ERR_TIMEOUT);
    EXPECT_TEXT(trace, "12");
    dns_server_end(&server);
}

/* ---- Cancelling, and freeing the resolver ---- */

static int cancel(void *arg)
{
    const struct dns_lookup *lookup = arg;

    evdns_cancel_request(lookup->server->resolver, lookup->request);
    return 0;
}

static int free_resolver_in_silence(void *arg)
{
    struct dns_server *server = arg;

    evdns_base_free(server->resolver, 0);
    server->resolver = NULL;
    return 0;
}

static int free_resolver_and_tell(void *arg)
{
    struct dns_server *server = arg;

    evdns_base_free(server->resolver, 1);
    server->resolver = NULL;
    return 0;
}

/* The answer that was put off comes even though the resolver is gone by then; the other does not. */
static void c48_a_cancelled_lookup_is_told_in_the_context_that_asked(void)
{
    struct dns_server server;
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    struct dns_lookup one = {&server, "silent.example", "1", '1', -1, NULL};
    struct dns_lookup two = {&server, "silent.example", "2", '2', -1, NULL};
    with("1", ask_ipv4, &one);
    with("2", ask_ipv4, &two);
    with("canceller", cancel, &one);
    with("freer", free_resolver_in_silence, &server);
    dns_server_run(&server, 1);
    EXPECT_EQUAL(one.result, DNS_ERR_CANCEL);
    EXPECT_TEXT(trace, "1");
    dns_server_end(&server);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static void c48_lookups_of_a_resolver_that_shuts_down_are_told_in_their_contexts(void)
{
    struct dns_server server;
    struct dns_lookup lookups[100];

    /* More than libevent does in one turn. */
    dns_server_begin(&server);
    for (int i = 0; i < 100; i++) {
        lookups[i] = (struct dns_lookup){&server, "silent.example", i % 2 ? "1" : NULL, '.', -1, NULL};
        with(lookups[i].wanted, ask_ipv4, &lookups[i]);
    }
    with("freer", free_resolver_and_tell, &server);
    dns_server_run(&server, 100);
    EXPECT_EQUAL(trace_size, 100);
    EXPECT_EQUAL(lookups[99].result, DNS_ERR_SHUTDOWN);
    dns_server_end(&server);
}

static void c63_lookups_that_are_never_answered_hold_no_context(void)
{
    const struct timeval a_few_turns = {.tv_usec = 10000};
    struct dns_server server;
    long before = weft_contexts_alive();

    dns_server_begin(&server);
    struct dns_lookup one = {&server, "silent.example", "1", '1', -1, NULL};
    with("1", ask_ipv4, &one);
    dns_server_end(&server);
    EXPECT_TEXT(trace, "");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    dns_server_begin(&server);
    with("1", ask_ipv4, &one);
    with("freer", free_resolver_in_silence, &server);
    EXPECT_EQUAL(event_base_loopexit(server.base, &a_few_turns), 0);
    EXPECT_EQUAL(event_base_dispatch(server.base), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    dns_server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c37_every_kind_of_lookup_is_answered_in_the_context_that_asked),
        CONFORMANCE_CASE(c37_callers_that_wait_for_the_same_answer_get_it_in_their_own_contexts),
        CONFORMANCE_CASE(c37_a_name_that_is_tried_in_several_domains_is_answered_in_the_context_that_asked),
        CONFORMANCE_CASE(c48_a_name_that_is_missing_or_not_answered_is_told_in_the_context_that_asked),
        CONFORMANCE_CASE(c48_a_cancelled_lookup_is_told_in_the_context_that_asked),
        CONFORMANCE_CASE(c48_lookups_of_a_resolver_that_shuts_down_are_told_in_their_contexts),
        CONFORMANCE_CASE(c63_lookups_that_are_never_answered_hold_no_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
