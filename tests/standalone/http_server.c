/*
 * An HTTP server whose log lines know their request, in plain libevent: nothing is passed along, and yet the lines of
 * the timer and of the thread begin with the ID of the request that started them.
 *
 *     cc -o http_server http_server.c $(pkg-config --cflags --libs weft-context libevent)
 *     ./http_server & curl http://127.0.0.1:8080/tea
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <weft/context.h>
#include <weft/log.h>

static struct event_base *base;

static void *audit(void *arg)
{
    (void)usleep(20 * 1000);
    weft_info("audited");
    return arg;
}

static void reply(evutil_socket_t fd, short what, void *request)
{
    struct evbuffer *body = evhttp_request_get_output_buffer(request);

    (void)fd, (void)what;
    (void)evbuffer_add_printf(body, "this was request %s\n", weft_get("request_id"));
    weft_info("answering");
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static int handle(void *request)
{
    pthread_t thread;

    weft_info("asked for %s", evhttp_request_get_uri(request));
    if (pthread_create(&thread, NULL, audit, NULL) == 0)
        (void)pthread_detach(thread);
    return event_base_once(base, -1, EV_TIMEOUT, reply, request, &(struct timeval){.tv_usec = 10 * 1000});
}

static void on_request(struct evhttp_request *request, void *arg)
{
    static unsigned requests;
    char id[16];

    (void)arg;
    (void)snprintf(id, sizeof(id), "req-%u", ++requests);
    (void)weft_run_with("request_id", id, handle, request);
}

int main(int argc, char **argv)
{
    ev_uint16_t port = argc > 1 ? (ev_uint16_t)atoi(argv[1]) : 8080;

    base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    evhttp_set_gencb(http, on_request, NULL);
    if (evhttp_bind_socket(http, "127.0.0.1", port) < 0) {
        weft_error("port %u is taken", port);
        return EXIT_FAILURE;
    }
    weft_log_label("request_id");
    weft_info("listening on http://127.0.0.1:%u/", port);
    (void)event_base_dispatch(base);
    evhttp_free(http);
    event_base_free(base);
    return EXIT_SUCCESS;
}
