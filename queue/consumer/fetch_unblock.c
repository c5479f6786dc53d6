#include "queue/consumer/fetch_unblock.h"

#include <errno.h>

#define AGAIN_MS 20

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct unblock *unblock = (struct unblock *)request;

    unblock->sent = false;
    if (reply && fetch_is_reading(unblock->fetch) && fetch_count_waits(unblock->fetch) == unblock->wait)
        event_add(unblock->timer, &(struct timeval){.tv_usec = AGAIN_MS * 1000});
}

void unblock_send(struct unblock *unblock)
{
    long long id = redis_client_id(unblock->reads);

    if (unblock->sent || id == 0 || !fetch_is_reading(unblock->fetch))
        return;
    words_start(&unblock->words, "CLIENT", "UNBLOCK", NULL);
    words_add_number(&unblock->words, id);
    unblock->wait = fetch_count_waits(unblock->fetch);
    unblock->sent = redis_send(unblock->commands, &unblock->words, &unblock->request) == 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct unblock *unblock = arg;

    (void)fd;
    (void)what;
    if (fetch_count_waits(unblock->fetch) == unblock->wait)
        unblock_send(unblock);
}

int unblock_init(struct unblock *unblock, struct event_base *base, struct redis *commands, struct redis *reads,
                 const struct fetch *fetch)
{
    *unblock = (struct unblock){.request = {on_reply}, .commands = commands, .reads = reads, .fetch = fetch};
    unblock->timer = event_new(base, -1, 0, on_timer, unblock);
    return unblock->timer ? 0 : -ENOMEM;
}

void unblock_done(struct unblock *unblock)
{
    if (unblock->timer)
        event_free(unblock->timer);
    words_done(&unblock->words);
    *unblock = (struct unblock){0};
}
