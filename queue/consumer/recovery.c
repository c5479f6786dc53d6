#include "queue/consumer/recovery.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "context/container.h"
#include "queue/consumer/delivery.h"

#define READ_COUNT "128"

struct recovery_cursor {
    char last[2 * 20 + 2]; /* the last entry seen */
};

static void write_read(const struct queue_calls *calls, size_t queue, struct command *command)
{
    const struct recovery *recovery = container_of(calls, const struct recovery, calls);

    command_start(command, "XREADGROUP", "GROUP", QUEUE_GROUP, calls->link.consumer, "COUNT", READ_COUNT, "STREAMS",
                  calls->link.keys[queue].names[QUEUE_KEY_STREAM], recovery->cursors[queue].last, NULL);
}

/* Gives whether there were entries, and thus may be more. */
static bool take_reply(struct recovery *recovery, size_t queue, const redisReply *reply)
{
    const char *key;
    const redisReply *entries = delivery_stream(reply, 0, &key);

    if (!entries || entries->elements == 0)
        return false;
    const redisReply *last = entries->element[entries->elements - 1];

    if (last->type != REDIS_REPLY_ARRAY || last->elements != 2 || !last->element[0]->str)
        return false;
    snprintf(recovery->cursors[queue].last, sizeof(recovery->cursors[queue].last), "%s", last->element[0]->str);
    recovery->events->found(queue, entries, recovery->user);
    return true;
}

/* A queue that is no stream, or has no group, has nothing to be found. */
static void on_read(struct queue_calls *calls, size_t queue, const redisReply *reply)
{
    struct recovery *recovery = container_of(calls, struct recovery, calls);

    if (!reply)
        return;
    if (reply_is_error(reply, NULL) && !reply_is_error(reply, "NOGROUP") && !reply_is_error(reply, "WRONGTYPE"))
        recovery->complete = false;
    else if (take_reply(recovery, queue, reply))
        (void)!queue_calls_send(calls, queue);
    if (calls->under_way == 0)
        recovery->events->done(recovery->complete, recovery->user);
}

static const struct queue_calls_kind read_calls = {.write = write_read, .done = on_read};

void recovery_start(struct recovery *recovery)
{
    assert(!recovery_is_under_way(recovery));
    recovery->complete = true;
    for (size_t i = 0; i < recovery->calls.link.options->queue_count; i++) {
        recovery->cursors[i] = (struct recovery_cursor){"0"};
        (void)!queue_calls_send(&recovery->calls, i);
    }
}

bool recovery_is_under_way(const struct recovery *recovery)
{
    return recovery->calls.under_way > 0;
}

int recovery_init(struct recovery *recovery, const struct queue_link *link, const struct recovery_events *events,
                  void *user)
{
    *recovery = (struct recovery){.events = events, .user = user};
    recovery->cursors = calloc(link->options->queue_count, sizeof(*recovery->cursors));
    return recovery->cursors ? queue_calls_init(&recovery->calls, link, &read_calls) : -ENOMEM;
}

void recovery_done(struct recovery *recovery)
{
    queue_calls_done(&recovery->calls);
    free(recovery->cursors);
}
