/*
 * The anchor: one function of each file that defines functions of other libraries. A linker takes from an archive what
 * somebody asks for; these have to be in every program that uses the context, also in one that calls them only by way
 * of the libraries, and wherever in its command line those are.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "context/propagate/linked.h"
#include "context/propagate/propagate.h"
#include "context/propagate/redis_library.h"

#define ANCHOR(function_) ((void (*)(void))(function_))

void (*const propagate_anchor[])(void) = {
    ANCHOR(bufferevent_filter_new),
    ANCHOR(bufferevent_setcb),
    ANCHOR(evbuffer_add_cb),
    ANCHOR(evbuffer_add_reference),
    ANCHOR(evconnlistener_new),
    ANCHOR(evdns_base_resolve_ipv4),
    ANCHOR(event_add),
    ANCHOR(event_base_loop),
    ANCHOR(evhttp_connection_set_closecb),
    ANCHOR(evhttp_make_request),
    ANCHOR(redisAsyncCommand),
};

/* The same for functions that sanitizers have, too. */
__attribute__((used)) static const char *const sanitized[] = {propagate_processes_linked, propagate_threads_linked};
