#include "queue/consumer/recovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "context/container.h"
#include "queue/consumer/delivery.h"

#define READ_COUNT "128"

struct recovery_read {
    struct redis_request request;
    struct recovery *recovery;
    size_t queue;
    char cursor[2 * 20 + 2]; /* the last entry seen */
};

struct recovery {
    struct queue_link link;
    const struct recovery_events *events;
    void *user;
    struct command command;
    size_t outstanding;
    bool complete;
    struct recovery_read reads[];
};

static void send_read(struct recovery *recovery, struct recovery_read *read)
{
    const struct queue_keys *keys = &recovery->link.keys[read->queue];

    command_start(&recovery->command, "XREADGROUP", "GROUP", QUEUE_GROUP, recovery->link.consumer, "COUNT", READ_COUNT,
                  "STREAMS", keys->names[QUEUE_KEY_STREAM], read->cursor, NULL);
    if (redis_send(recovery->link.redis, &recovery->command, &read->request) == 0)
        recovery->outstanding++;
}

/* Gives whether there were entries, and thus may be more. */
static bool take_reply(struct recovery_read *read, const redisReply *reply)
{
    struct recovery *recovery = read->recovery;
    const redisReply *entries, *last;
    const char *key;

    entries = delivery_stream(reply, 0, &key);
    if (!entries || entries->elements == 0)
        return false;
    last = entries->element[entries->elements - 1];
    if (last->type != REDIS_REPLY_ARRAY || last->elements != 2 || !last->element[0]->str)
        return false;
    snprintf(read->cursor, sizeof(read->cursor), "%s", last->element[0]->str);
    recovery->events->found(read->queue, entries, recovery->user);
    return true;
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct recovery_read *read = container_of(request, struct recovery_read, request);
    struct recovery *recovery = read->recovery;

    recovery->outstanding--;
    if (!reply)
        return;
    if (reply_blames_server(reply)) {
        redis_fail(recovery->link.redis, reply->str);
        return;
    }
    if (reply_is_error(reply, NULL) && !reply_is_error(reply, "NOGROUP") && !reply_is_error(reply, "WRONGTYPE"))
        recovery->complete = false;
    else if (take_reply(read, reply))
        send_read(recovery, read);
    if (recovery->outstanding == 0)
        recovery->events->done(recovery->complete, recovery->user);
}

/* A queue that is no stream, or has no group, has nothing to be found. */
void recovery_start(struct recovery *recovery)
{
    recovery->complete = true;
    for (size_t i = 0; i < recovery->link.options->queue_count; i++) {
        snprintf(recovery->reads[i].cursor, sizeof(recovery->reads[i].cursor), "0");
        send_read(recovery, &recovery->reads[i]);
    }
}

bool recovery_is_under_way(const struct recovery *recovery)
{
    return recovery->outstanding > 0;
}

int recovery_new(const struct queue_link *link, const struct recovery_events *events, void *user,
                 struct recovery **ret_recovery)
{
    const size_t queue_count = link->options->queue_count;
    struct recovery *recovery = calloc(1, sizeof(*recovery) + queue_count * sizeof(recovery->reads[0]));

    if (!recovery)
        return -ENOMEM;
    recovery->link = *link;
    recovery->events = events;
    recovery->user = user;
    for (size_t i = 0; i < queue_count; i++)
        recovery->reads[i] = (struct recovery_read){.request = {on_reply}, .recovery = recovery, .queue = i};
    *ret_recovery = recovery;
    return 0;
}

struct recovery *recovery_free(struct recovery *recovery)
{
    if (recovery)
        command_done(&recovery->command);
    free(recovery);
    return NULL;
}
