#include "daemon/supervisor/web.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/http.h>
#include <event2/listener.h>
#include <weft/log.h>

#include "context/time.h"
#include "daemon/config/address.h"
#include "daemon/metrics/exposition.h"

enum { TIMEOUT_S = 10, HEADERS_MAX = 8192, BODY_MAX = 1024, BACKLOG = 64 };

/* After a connection could not be accepted. */
enum { RESUME_S = 1 };
#define COMPLAIN_PERIOD_US (60 * INT64_C(1000000))

struct web {
    LIST_ENTRY(web) entry;
    const struct web_setup *setup;
    struct evhttp *http;
    struct evconnlistener *listeners[WEB_SOCKETS_MAX + 1]; /* freed by `http` */
    size_t count;
    struct event *resume_event;
    int64_t complained_us; /* 0: never */
};

/* All that there are: what fails to accept tells which evhttp it belongs to, and not which of these. */
static LIST_HEAD(, web) webs = LIST_HEAD_INITIALIZER(webs);

/* ---- Pages ---- */

static void reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

    (void)evhttp_add_header(headers, "Content-Type", type);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    (void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_send_reply(request, code,
                      code == HTTP_OK         ? "OK"
                      : code == HTTP_NOTFOUND ? "Not Found"
                                              : "Unavailable",
                      body);
}

static void reply_with_text(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();

    if (!body) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    (void)evbuffer_add_printf(body, "%s\n", text);
    reply(request, code, "text/plain; charset=utf-8", body);
    evbuffer_free(body);
}

static void reply_with_state(struct evhttp_request *request, const char *problem, const char *well)
{
    reply_with_text(request, problem ? HTTP_SERVUNAVAIL : HTTP_OK, problem ? problem : well);
}

static void show_health(struct evhttp_request *request, void *arg)
{
    const struct web_setup *setup = ((struct web *)arg)->setup;

    reply_with_state(request, setup->pages->health(setup->user), "ok");
}

static void show_readiness(struct evhttp_request *request, void *arg)
{
    const struct web_setup *setup = ((struct web *)arg)->setup;

    reply_with_state(request, setup->pages->readiness(setup->user), "ready");
}

static void show_metrics(struct evhttp_request *request, void *arg)
{
    const struct web_setup *setup = ((struct web *)arg)->setup;
    struct evbuffer *body = evbuffer_new();

    if (!body) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    setup->pages->metrics(body, setup->user);
    reply(request, HTTP_OK, EXPOSITION_TYPE, body);
    evbuffer_free(body);
}

static void show_nothing(struct evhttp_request *request, void *arg)
{
    (void)arg;
    reply_with_text(request, HTTP_NOTFOUND, "weftd has /healthz, /readyz and /metrics");
}

/* ---- Too many connections ---- */

/* Whoever waits goes on waiting: to be told of it again at once would keep the supervisor from all else. */
static void cannot_accept(struct evconnlistener *listener, void *arg)
{
    int64_t now_us = time_steady_us();
    int error = EVUTIL_SOCKET_ERROR();
    struct web *web;

    LIST_FOREACH (web, &webs, entry)
        if ((void *)web->http == arg)
            break;
    if (!web)
        return;

    (void)evconnlistener_disable(listener);
    (void)event_add(web->resume_event, &(struct timeval){.tv_sec = RESUME_S});
    if (web->complained_us > 0 && now_us - web->complained_us < COMPLAIN_PERIOD_US)
        return;
    web->complained_us = now_us;
    weft_log_with(WEFT_WARN, "the web server can accept no connection and tries again each second",
                  WEFT_TEXT("error", strerror(error)));
}

static void resume(evutil_socket_t fd, short what, void *arg)
{
    const struct web *web = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < web->count; i++)
        (void)evconnlistener_enable(web->listeners[i]);
}

/* ---- Sockets ---- */

static bool is_at(int fd, const struct sockaddr_storage *address)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof(own);

    if (getsockname(fd, (struct sockaddr *)&own, &size) < 0 || own.ss_family != address->ss_family)
        return false;
    if (own.ss_family == AF_INET) {
        const struct sockaddr_in *one = (const void *)&own, *other = (const void *)address;

        return one->sin_port == other->sin_port && one->sin_addr.s_addr == other->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *one = (const void *)&own, *other = (const void *)address;
    return own.ss_family == AF_INET6 && one->sin6_port == other->sin6_port &&
           memcmp(&one->sin6_addr, &other->sin6_addr, sizeof(one->sin6_addr)) == 0;
}

/* Gives a descriptor or a negative errno. */
static int listen_at(const struct sockaddr_storage *address, socklen_t size)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (address->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
    if (bind(fd, (const struct sockaddr *)address, size) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;

        (void)close(fd);
        return -error;
    }
    return fd;
}

static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? -errno : copy;
}

/* Takes the descriptor over. */
static int accept_from(struct web *web, int fd)
{
    if (fd < 0)
        return fd;
    struct evhttp_bound_socket *bound =
        evutil_make_socket_nonblocking(fd) < 0 ? NULL : evhttp_accept_socket_with_handle(web->http, fd);
    if (!bound) {
        (void)close(fd);
        return -ENOMEM;
    }
    struct evconnlistener *listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(listener, cannot_accept);
    web->listeners[web->count++] = listener;
    return 0;
}

static bool listens_at(const struct web *web, const struct sockaddr_storage *address, int *ret_fd)
{
    for (size_t i = 0; web && i < web->count; i++) {
        *ret_fd = evconnlistener_get_fd(web->listeners[i]);
        if (is_at(*ret_fd, address))
            return true;
    }
    return false;
}

/* ---- The server ---- */

static int start_http(struct web *web)
{
    web->resume_event = evtimer_new(web->setup->base, resume, web);
    web->http = evhttp_new(web->setup->base);
    if (!web->resume_event || !web->http)
        return -ENOMEM;
    evhttp_set_allowed_methods(web->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_timeout(web->http, TIMEOUT_S);
    evhttp_set_max_headers_size(web->http, HEADERS_MAX);
    evhttp_set_max_body_size(web->http, BODY_MAX);
    evhttp_set_gencb(web->http, show_nothing, web);
    if (evhttp_set_cb(web->http, "/healthz", show_health, web) < 0 ||
        evhttp_set_cb(web->http, "/readyz", show_readiness, web) < 0 ||
        evhttp_set_cb(web->http, "/metrics", show_metrics, web) < 0)
        return -ENOMEM;
    return 0;
}

int web_new(const struct web_setup *setup, const char *address, const struct web *previous, struct web **ret_web,
            char **ret_message)
{
    struct sockaddr_storage parsed;
    socklen_t size;
    struct web *web;
    int r, fd;

    *ret_message = NULL;
    if (!address && setup->given_count == 0) {
        *ret_web = NULL;
        return 0;
    }
    web = calloc(1, sizeof(*web));
    if (!web)
        return -ENOMEM;
    web->setup = setup;
    LIST_INSERT_HEAD(&webs, web, entry);
    r = start_http(web);
    for (size_t i = 0; i < setup->given_count && r == 0; i++)
        r = accept_from(web, duplicate(setup->given[i]));
    if (r == 0 && address)
        r = config_address_parse(address, &parsed, &size);
    if (r == 0 && address && !listens_at(web, &parsed, &fd))
        r = accept_from(web, listens_at(previous, &parsed, &fd) ? duplicate(fd) : listen_at(&parsed, size));
    if (r == 0) {
        *ret_web = web;
        return 0;
    }
    (void)web_free(web);
    if (asprintf(ret_message, "\"http.listen\" (%s) cannot be listened on: %s",
                 address ? address : "a socket of the service manager's", strerror(-r)) < 0)
        *ret_message = NULL;
    return r;
}

struct web *web_free(struct web *web)
{
    if (!web)
        return NULL;
    LIST_REMOVE(web, entry);
    if (web->http)
        evhttp_free(web->http);
    if (web->resume_event)
        event_free(web->resume_event);
    free(web);
    return NULL;
}
