#include "context/propagate/hiredis/redis_channel.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "context/propagate/hiredis/redis_reply.h"

struct channel {
    bool is_pattern;
    bool is_subscribed; /* hiredis knows it */
    struct redis_word name;
    struct redis_call *call; /* NULL: the channel has no callback */
    int pending;             /* subscriptions whose replies have not come */
};

/* ---- The channels of a connection ---- */

static int compare(const void *one, const void *other)
{
    const struct channel *a = one, *b = other;

    if (a->is_pattern != b->is_pattern)
        return a->is_pattern ? 1 : -1;
    if (a->name.size != b->name.size)
        return a->name.size < b->name.size ? -1 : 1;
    return memcmp(a->name.text, b->name.text, a->name.size);
}

static struct channel *find(struct redis_connection *connection, bool is_pattern, const struct redis_word *name)
{
    const struct channel wanted = {.is_pattern = is_pattern, .name = *name};
    struct channel **place = tfind(&wanted, &connection->channels, compare);

    return place ? *place : NULL;
}

static int add(struct redis_connection *connection, bool is_pattern, const struct redis_word *name)
{
    struct channel *channel = malloc(sizeof(*channel) + name->size);

    if (!channel)
        return -ENOMEM;
    char *text = memcpy(channel + 1, name->text, name->size);
    *channel = (struct channel){.is_pattern = is_pattern, .name = {.text = text, .size = name->size}};
    if (!tsearch(channel, &connection->channels, compare)) {
        free(channel);
        return -ENOMEM;
    }
    return 0;
}

/* One subscription less has the call as its callback. It may be running. */
static void drop_call(struct redis_call *call)
{
    if (call && --call->channels == 0 && call->running == 0)
        redis_call_end(call, call->connection->key);
}

static void drop_channel(struct redis_connection *connection, struct channel *channel)
{
    struct redis_call *call = channel->call;

    (void)tdelete(channel, &connection->channels, compare);
    free(channel);
    drop_call(call);
}

/* ---- Subscribing ---- */

int redis_channels_prepare(struct redis_connection *connection, const struct redis_command *command)
{
    struct redis_words words = command->rest;
    struct redis_word name;

    while (redis_words_next(&words, &name)) {
        if (!find(connection, command->is_pattern, &name) && add(connection, command->is_pattern, &name) < 0) {
            redis_channels_forget(connection, command);
            return -ENOMEM;
        }
    }
    return 0;
}

void redis_channels_forget(struct redis_connection *connection, const struct redis_command *command)
{
    struct redis_words words = command->rest;
    struct redis_word name;

    while (redis_words_next(&words, &name)) {
        struct channel *channel = find(connection, command->is_pattern, &name);

        if (channel && !channel->is_subscribed)
            drop_channel(connection, channel);
    }
}

/* Once a channel of a command was known, hiredis counts from there on for the command's other channels as well; they
 * then last until the connection's end. */
void redis_channels_subscribe(struct redis_connection *connection, const struct redis_command *command,
                              struct redis_call *call)
{
    struct redis_words words = command->rest;
    struct redis_word name;
    int pending = 1;

    while (redis_words_next(&words, &name)) {
        struct channel *channel = find(connection, command->is_pattern, &name);
        struct redis_call *old = channel->call;

        if (channel->is_subscribed)
            pending = channel->pending + 1;
        channel->pending = pending;
        channel->is_subscribed = true;
        channel->call = call;
        if (call)
            call->channels++;
        drop_call(old);
    }
}

static void free_channel(void *arg)
{
    struct channel *channel = arg;

    drop_call(channel->call);
    free(channel);
}

void redis_channels_done(struct redis_connection *connection)
{
    tdestroy(connection->channels, free_channel);
    connection->channels = NULL;
}

/* ---- Replies ---- */

/* hiredis has done the same just before it calls. */
void redis_channels_answer(struct redisAsyncContext *key, void *reply, void *arg)
{
    struct redis_call *call = arg;

    if (call->channels == 0) {
        redis_call_run(call, key, reply);
        return;
    }
    struct redis_notice notice = redis_notice_read(reply);
    struct channel *channel = NULL;
    call->running++;
    if (notice.kind != REDIS_NOTICE_OTHER)
        channel = find(call->connection, notice.is_pattern, &notice.channel);
    if (channel && notice.kind == REDIS_NOTICE_SUBSCRIBED)
        channel->pending--;
    else if (channel && channel->pending == 0)
        drop_channel(call->connection, channel);
    redis_call_run(call, key, reply);
    call->running--;
    if (call->running == 0 && call->channels == 0)
        redis_call_end(call, key);
}
