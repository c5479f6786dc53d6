/* The resolver: each lookup's callback runs in the context of the call that asked. libevent always calls them from the
 * loop, or before that call returns, so that those which are asked at the root need nothing. */
#include <arpa/inet.h>
#include <stdio.h>

#include <event2/dns.h>
#include <event2/dns_compat.h>
#include <event2/util.h>

#include "context/container.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(lookups);

/* Filed under its resolver, until it is called. */
struct lookup {
    struct wrapped_callback wrapped;
    struct evdns_base *resolver;
    evdns_callback_type callback;
    evdns_getaddrinfo_cb address_callback;
    void *arg;
    char name[OPERATION_DESCRIPTION_SIZE];
};

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "dns %.*s", OPERATION_DESCRIPTION_SIZE - 5,
                   container_of(operation, const struct lookup, wrapped.operation)->name);
}

static const struct operation_class lookup_class = {.kind = "dns", .describe = describe};

/* Of a note under a resolver, which tells its base. */
static const struct operation_class resolver_class = {.kind = "resolver"};

/* ---- In place of the user's callbacks ---- */

/* The call was the only one, unless the resolver was freed meanwhile by somebody who has seen to the lookup's end. */
static void lookup_end(struct lookup *lookup)
{
    if (wrapped_callback_take_this(&lookup->wrapped, lookup->resolver))
        wrapped_callback_drop(&lookup->wrapped);
}

static void run_lookup(int result, char type, int count, int ttl, void *addresses, void *arg)
{
    struct lookup *lookup = arg;
    struct current saved;

    wrapped_callback_enter(&lookup->wrapped, &saved);
    lookup->callback(result, type, count, ttl, addresses, lookup->arg);
    wrapped_callback_leave(&lookup->wrapped, &saved);
    lookup_end(lookup);
}

static void run_address_lookup(int result, struct evutil_addrinfo *addresses, void *arg)
{
    struct lookup *lookup = arg;
    struct current saved;

    wrapped_callback_enter(&lookup->wrapped, &saved);
    lookup->address_callback(result, addresses, lookup->arg);
    wrapped_callback_leave(&lookup->wrapped, &saved);
    lookup_end(lookup);
}

/* ---- Asking ---- */

static struct lookup *lookup_new(struct evdns_base *resolver, const char *name, void *arg, const void *place)
{
    struct wrapped_callback *note = wrapped_callback_find(resolver, &resolver_class);
    struct event_base *base = note ? note->base : NULL;

    if (note)
        wrapped_callback_unref(note);
    struct lookup *lookup = base ? wrapped_callback_allocate(sizeof(*lookup), &lookup_class, base) : NULL;
    if (!lookup)
        return NULL;
    lookup->resolver = resolver;
    lookup->arg = arg;
    (void)snprintf(lookup->name, sizeof(lookup->name), "%s", name ? name : "");
    wrapped_callback_begin(&lookup->wrapped, place);
    wrapped_callback_file(&lookup->wrapped, resolver);
    return lookup;
}

static struct lookup *follow_name(struct evdns_base *resolver, const char *name, evdns_callback_type callback,
                                  void *arg, const void *place)
{
    struct lookup *lookup = propagate_follows((void *)callback) ? lookup_new(resolver, name, arg, place) : NULL;

    if (lookup)
        lookup->callback = callback;
    return lookup;
}

static struct lookup *follow_address(struct evdns_base *resolver, int family, const void *address,
                                     evdns_callback_type callback, void *arg, const void *place)
{
    char name[INET6_ADDRSTRLEN] = "";

    if (!propagate_follows((void *)callback))
        return NULL;
    (void)inet_ntop(family, address, name, sizeof(name));
    return follow_name(resolver, name, callback, arg, place);
}

/* A lookup that could not be begun calls nobody. */
static struct evdns_request *begun(struct lookup *lookup, struct evdns_request *request)
{
    if (lookup && !request)
        lookup_end(lookup);
    return request;
}

PROPAGATE_EXPORT struct evdns_request *evdns_base_resolve_ipv4(struct evdns_base *resolver, const char *name, int flags,
                                                               evdns_callback_type callback, void *arg)
{
    struct lookup *lookup = follow_name(resolver, name, callback, arg, OPERATION_PLACE());

    return begun(lookup, REAL(evdns_base_resolve_ipv4)(resolver, name, flags, lookup ? run_lookup : callback,
                                                       lookup ? lookup : arg));
}

PROPAGATE_EXPORT struct evdns_request *evdns_base_resolve_ipv6(struct evdns_base *resolver, const char *name, int flags,
                                                               evdns_callback_type callback, void *arg)
{
    struct lookup *lookup = follow_name(resolver, name, callback, arg, OPERATION_PLACE());

    return begun(lookup, REAL(evdns_base_resolve_ipv6)(resolver, name, flags, lookup ? run_lookup : callback,
                                                       lookup ? lookup : arg));
}

PROPAGATE_EXPORT struct evdns_request *evdns_base_resolve_reverse(struct evdns_base *resolver,
                                                                  const struct in_addr *address, int flags,
                                                                  evdns_callback_type callback, void *arg)
{
    struct lookup *lookup = follow_address(resolver, AF_INET, address, callback, arg, OPERATION_PLACE());

    return begun(lookup, REAL(evdns_base_resolve_reverse)(resolver, address, flags, lookup ? run_lookup : callback,
                                                          lookup ? lookup : arg));
}

PROPAGATE_EXPORT struct evdns_request *evdns_base_resolve_reverse_ipv6(struct evdns_base *resolver,
                                                                       const struct in6_addr *address, int flags,
                                                                       evdns_callback_type callback, void *arg)
{
    struct lookup *lookup = follow_address(resolver, AF_INET6, address, callback, arg, OPERATION_PLACE());

    return begun(lookup, REAL(evdns_base_resolve_reverse_ipv6)(resolver, address, flags, lookup ? run_lookup : callback,
                                                               lookup ? lookup : arg));
}

/* Gives NULL where the callback has been called already. evdns_getaddrinfo_cancel() has it called, too. */
PROPAGATE_EXPORT struct evdns_getaddrinfo_request *evdns_getaddrinfo(struct evdns_base *resolver, const char *node,
                                                                     const char *service,
                                                                     const struct evutil_addrinfo *hints,
                                                                     evdns_getaddrinfo_cb callback, void *arg)
{
    struct lookup *lookup = NULL;

    if (propagate_follows((void *)callback))
        lookup = lookup_new(resolver ? resolver : REAL(evdns_get_global_base)(), node, arg, OPERATION_PLACE());
    if (!lookup)
        return REAL(evdns_getaddrinfo)(resolver, node, service, hints, callback, arg);
    lookup->address_callback = callback;
    return REAL(evdns_getaddrinfo)(resolver, node, service, hints, run_address_lookup, lookup);
}

/* ---- Resolvers ---- */

/* For libevent, none is the one base of a program in the older style. */
static void note_base(struct evdns_base *resolver, struct event_base *base)
{
    struct wrapped_callback *note =
        resolver ? wrapped_callback_new_note(&resolver_class, base ? base : propagate_global_base()) : NULL;

    if (note)
        wrapped_callback_file(note, resolver);
}

PROPAGATE_EXPORT struct evdns_base *evdns_base_new(struct event_base *base, int flags)
{
    struct evdns_base *resolver = REAL(evdns_base_new)(base, flags);

    note_base(resolver, base);
    return resolver;
}

/* Makes the one resolver of a program in the older style, by an inner call that need not come by here. */
PROPAGATE_EXPORT int evdns_init(void)
{
    int r = REAL(evdns_init)();
    struct evdns_base *resolver = REAL(evdns_get_global_base)();
    struct wrapped_callback *note = r == 0 ? wrapped_callback_find(resolver, &resolver_class) : NULL;

    if (note)
        wrapped_callback_unref(note);
    else if (r == 0)
        note_base(resolver, NULL);
    return r;
}

/* Those that are not to be told are forgotten. But libevent may have put off telling some the answer by now. */
static void free_resolver(struct evdns_base *resolver, int tell, void (*free_it)(struct evdns_base *resolver, int tell))
{
    struct wrapped_callback *lookups = wrapped_callback_take_all(resolver, &lookup_class);
    struct wrapped_callback *note = wrapped_callback_take(resolver, &resolver_class, NULL, NULL);

    free_it(resolver, tell);
    wrapped_callback_end_all(lookups, wrapped_callback_retire);
    if (note)
        wrapped_callback_unref(note);
}

PROPAGATE_EXPORT void evdns_base_free(struct evdns_base *resolver, int tell)
{
    free_resolver(resolver, tell, REAL(evdns_base_free));
}

static void shut_down(struct evdns_base *resolver, int tell)
{
    (void)resolver;
    REAL(evdns_shutdown)(tell);
}

PROPAGATE_EXPORT void evdns_shutdown(int tell)
{
    free_resolver(REAL(evdns_get_global_base)(), tell, shut_down);
}

/* ---- Asking the one resolver ---- */

PROPAGATE_EXPORT int evdns_resolve_ipv4(const char *name, int flags, evdns_callback_type callback, void *arg)
{
    return evdns_base_resolve_ipv4(REAL(evdns_get_global_base)(), name, flags, callback, arg) ? 0 : -1;
}

PROPAGATE_EXPORT int evdns_resolve_ipv6(const char *name, int flags, evdns_callback_type callback, void *arg)
{
    return evdns_base_resolve_ipv6(REAL(evdns_get_global_base)(), name, flags, callback, arg) ? 0 : -1;
}

PROPAGATE_EXPORT int evdns_resolve_reverse(const struct in_addr *address, int flags, evdns_callback_type callback,
                                           void *arg)
{
    return evdns_base_resolve_reverse(REAL(evdns_get_global_base)(), address, flags, callback, arg) ? 0 : -1;
}

PROPAGATE_EXPORT int evdns_resolve_reverse_ipv6(const struct in6_addr *address, int flags, evdns_callback_type callback,
                                                void *arg)
{
    return evdns_base_resolve_reverse_ipv6(REAL(evdns_get_global_base)(), address, flags, callback, arg) ? 0 : -1;
}
