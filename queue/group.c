#include "queue/group.h"

#include <errno.h>
#include <stdlib.h>

#include "context/container.h"

struct group_request {
    struct redis_request request;
    struct group_maker *maker;
    size_t queue;
};

struct group_maker {
    struct queue_link link;
    const struct group_events *events;
    void *user;
    struct command command;
    size_t outstanding;
    struct group_request requests[];
};

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    const struct group_request *made = container_of(request, struct group_request, request);
    struct group_maker *maker = made->maker;

    maker->outstanding--;
    if (!reply)
        return;
    if (reply_blames_server(reply)) {
        redis_fail(maker->link.redis, reply->str);
        return;
    }
    if (reply_is_error(reply, NULL) && !reply_is_error(reply, "BUSYGROUP") && maker->events->refused)
        maker->events->refused(made->queue, reply, maker->user);
    if (maker->outstanding == 0 && maker->events->answered && redis_is_up(maker->link.redis))
        maker->events->answered(maker->user);
}

int group_maker_start(struct group_maker *maker)
{
    if (maker->outstanding > 0)
        return 0;
    for (size_t i = 0; i < maker->link.options->queue_count; i++) {
        int r;

        command_start(&maker->command, "XGROUP", "CREATE", maker->link.keys[i].names[QUEUE_KEY_STREAM], QUEUE_GROUP,
                      "0", "MKSTREAM", NULL);
        r = redis_send(maker->link.redis, &maker->command, &maker->requests[i].request);
        if (r < 0)
            return r;
        maker->outstanding++;
    }
    return 0;
}

int group_maker_new(const struct queue_link *link, const struct group_events *events, void *user,
                    struct group_maker **ret_maker)
{
    const size_t queue_count = link->options->queue_count;
    struct group_maker *maker = calloc(1, sizeof(*maker) + queue_count * sizeof(maker->requests[0]));

    if (!maker)
        return -ENOMEM;
    maker->link = *link;
    maker->events = events;
    maker->user = user;
    for (size_t i = 0; i < queue_count; i++)
        maker->requests[i] = (struct group_request){{on_reply}, maker, i};
    *ret_maker = maker;
    return 0;
}

struct group_maker *group_maker_free(struct group_maker *maker)
{
    if (maker)
        command_done(&maker->command);
    free(maker);
    return NULL;
}
