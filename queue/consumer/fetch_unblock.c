#include "queue/consumer/fetch_unblock.h"

#include <errno.h>

#include "context/container.h"

#define AGAIN_MS 20

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct fetch_unblock *unblock = container_of(request, struct fetch_unblock, request);

    unblock->sent = false;
    if (reply && fetch_is_reading(unblock->fetch) && fetch_count_waits(unblock->fetch) == unblock->wait)
        event_add(unblock->timer, &(struct timeval){.tv_usec = AGAIN_MS * 1000});
}

void fetch_unblock_send(struct fetch_unblock *unblock)
{
    long long id = redis_client_id(unblock->reads);

    if (unblock->sent || id == 0 || !fetch_is_reading(unblock->fetch))
        return;
    command_start(&unblock->command, "CLIENT", "UNBLOCK", NULL);
    command_add_number(&unblock->command, id);
    unblock->wait = fetch_count_waits(unblock->fetch);
    unblock->sent = redis_send(unblock->commands, &unblock->command, &unblock->request) == 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct fetch_unblock *unblock = arg;

    (void)fd;
    (void)what;
    if (fetch_count_waits(unblock->fetch) == unblock->wait)
        fetch_unblock_send(unblock);
}

int fetch_unblock_init(struct fetch_unblock *unblock, struct event_base *base, struct redis *commands,
                       struct redis *reads, const struct fetch *fetch)
{
    *unblock =
        (struct fetch_unblock){.request = {.done = on_reply}, .commands = commands, .reads = reads, .fetch = fetch};
    unblock->timer = event_new(base, -1, 0, on_timer, unblock);
    return unblock->timer ? 0 : -ENOMEM;
}

void fetch_unblock_done(struct fetch_unblock *unblock)
{
    if (unblock->timer)
        event_free(unblock->timer);
    command_done(&unblock->command);
    *unblock = (struct fetch_unblock){0};
}
