/* A plain libevent HTTP server whose log lines carry the request's ID, though nobody passes it along. Build and run:
 *     cc http_server.c $(pkg-config --cflags --libs weft-context) -levent -o http_server && ./http_server 8080 */
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <weft/context.h>
#include <weft/log.h>

/* A callback of libevent's like any other. It knows which request it is about by the context that armed its timer. */
static void answer(evutil_socket_t fd, short what, void *arg)
{
    struct evhttp_request *request = arg;

    (void)fd, (void)what;
    weft_info("answering");
    evbuffer_add_printf(evhttp_request_get_output_buffer(request), "you are %s\n", weft_get("request_id"));
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static int look_up(void *arg)
{
    static const struct timeval a_while = {.tv_usec = 20000};
    struct evhttp_request *request = arg;

    weft_info("looking up %s", evhttp_request_get_uri(request));
    return event_base_once(evhttp_connection_get_base(evhttp_request_get_connection(request)), -1, EV_TIMEOUT, answer,
                           request, &a_while);
}

static void receive(struct evhttp_request *request, void *arg)
{
    static unsigned requests;
    char id[16];

    (void)arg;
    snprintf(id, sizeof(id), "req-%u", ++requests);
    weft_run_with("request_id", id, look_up, request);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct evhttp *server = evhttp_new(base);

    weft_log_label("request_id");
    evhttp_set_gencb(server, receive, NULL);
    if (argc != 2 || evhttp_bind_socket(server, "127.0.0.1", (ev_uint16_t)atoi(argv[1])) < 0)
        return EXIT_FAILURE;
    weft_info("listening");
    return event_base_dispatch(base) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
