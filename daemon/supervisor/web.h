/*
 * The web server: /healthz, /readyz and /metrics, from the supervisor's loop. It listens where the configuration says,
 * and on the sockets that a service manager has given.
 */
#pragma once

#include <stddef.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "context/macros.h"

#define WEB_SOCKETS_MAX 8

/* What the pages say. */
struct web_pages {
    /* NULL where all is well, else why not, in one sentence; borrowed until the next call. */
    const char *(*health)(void *user);
    const char *(*readiness)(void *user);
    /* In Prometheus's text format. */
    void (*metrics)(struct evbuffer *buffer, void *user);
};

/* What all servers of a process share. */
struct web_setup {
    struct event_base *base;
    const struct web_pages *pages;
    void *user;
    int given[WEB_SOCKETS_MAX]; /* listening sockets of the service manager's, which stay open */
    size_t given_count;
};

struct web;

/* Listens on the given sockets and on `address`, as config_address_parse() reads it; NULL: only on those. A socket that
 * `previous` (NULL: there is none) listens on is shared with it. `*ret_web` is NULL where there is nothing to listen
 * on. On failure `*ret_message` is a sentence for the user, to be freed. Errors: negative errno. */
int web_new(const struct web_setup *setup, const char *address, const struct web *previous, struct web **ret_web,
            char **ret_message) MUST_CHECK;

/* Closes its connections. Takes NULL, gives NULL. Not from inside a page. */
struct web *web_free(struct web *web);
