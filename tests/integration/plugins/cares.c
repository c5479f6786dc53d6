/* c-ares: one channel, its sockets and its timer serve all; the answer of each query is bound. */
#include <stdlib.h>
#include <string.h>

#include <ares.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>

#include <weft/loop.h>
#include <weft/weft.h>

enum { SOCKETS_MAX = 1024 };

static struct {
    ares_channel channel;
    struct event *timer;
    struct event *sockets[SOCKETS_MAX]; /* by their number */
} resolver;

/* On the stack of the handler. */
struct lookup {
    char id[WEFT_ID_SIZE], name[WEFT_ID_SIZE + 8];
    int port, status;
    struct weft_bound answered;
    struct weft_future over;
};

static void arm_timer(void)
{
    struct timeval room, *wait = ares_timeout(resolver.channel, NULL, &room);

    if (wait)
        event_add(resolver.timer, wait);
    else
        event_del(resolver.timer);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)arg;
    ares_process_fd(resolver.channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
    arm_timer();
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

    (void)arg;
    if (fd >= SOCKETS_MAX)
        abort();
    if (resolver.sockets[fd])
        event_free(resolver.sockets[fd]);
    resolver.sockets[fd] = NULL;
    if (!readable && !writable)
        return;
    resolver.sockets[fd] = event_new(weft_loop_base(), fd, what, on_ready, NULL);
    event_add(resolver.sockets[fd], NULL);
}

static int say_answer(void *arg)
{
    struct lookup *lookup = arg;

    weft_info("answer of %s", lookup->id);
    weft_future_complete(&lookup->over, lookup->status == ARES_SUCCESS ? 0 : -EIO);
    return 0;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *addresses)
{
    struct lookup *lookup = arg;

    (void)timeouts;
    ares_freeaddrinfo(addresses);
    lookup->status = status;
    weft_call_once(&lookup->answered);
}

/* At the root: what is made on first use is everybody's. */
static int send_query(void *arg)
{
    struct lookup *lookup = arg;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_INET};

    if (!resolver.channel) {
        struct in_addr server = {htonl(INADDR_LOOPBACK)};
        struct ares_options options = {.sock_state_cb = on_socket, .servers = &server, .nservers = 1, .timeout = 2000};

        options.udp_port = (uint16_t)lookup->port;
        resolver.timer = evtimer_new(weft_loop_base(), on_ready, NULL);
        if (ares_init_options(&resolver.channel, &options,
                              ARES_OPT_SOCK_STATE_CB | ARES_OPT_SERVERS | ARES_OPT_UDP_PORT | ARES_OPT_TIMEOUTMS))
            return -EIO;
    }
    ares_getaddrinfo(resolver.channel, lookup->name, NULL, &hints, on_answer, lookup);
    arm_timer();
    return 0;
}

static int look_up(struct weft_job *job)
{
    struct lookup lookup = {.port = atoi(weft_job_payload(job, NULL))};
    int result = 0;

    (void)strcpy(lookup.id, weft_job_id(job));
    (void)strcpy(lookup.name, lookup.id);
    (void)strcat(lookup.name, ".test.");
    weft_bind(&lookup.answered, say_answer, &lookup);
    int r = weft_exit(send_query, &lookup);
    if (r == 0)
        r = weft_future_wait(&lookup.over, &result);
    weft_unbind(&lookup.answered);
    return r < 0 ? r : result;
}

static void stop(void)
{
    if (!resolver.channel)
        return;
    ares_destroy(resolver.channel);
    event_free(resolver.timer);
}

WEFT_PLUGIN_WITH_HOOKS("cares", NULL, stop, WEFT_HANDLER("look_up", look_up));
