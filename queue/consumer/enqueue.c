#include "queue/consumer/enqueue.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "context/container.h"
#include "queue/keys.h"
#include "queue/message/units.h"
#include "queue/redis/call.h"

struct enqueue_item {
    struct connection_request request;
    struct enqueue *enqueue;
    TAILQ_ENTRY(enqueue_item) entry;
    void (*done)(int result, const char *text, void *arg);
    void *arg;
    char *command; /* as Redis reads it */
    size_t size;
    bool sent;
    bool taught; /* Redis did not know the script, and has been sent it */
};

struct enqueue {
    struct connection *connection;
    const char *prefix;
    void (*wake)(void *user);
    void *user;
    struct command command;
    TAILQ_HEAD(enqueue_items, enqueue_item) items; /* the oldest first; those that were sent come first */
};

static void free_item(struct enqueue_item *item)
{
    if (item->command)
        redisFreeCommand(item->command);
    free(item);
}

/* The last that is done with an item: `done` may enqueue more. */
static void answer_item(struct enqueue_item *item, int result, const char *text)
{
    void (*done)(int result, const char *text, void *arg) = item->done;
    void *arg = item->arg;

    TAILQ_REMOVE(&item->enqueue->items, item, entry);
    free_item(item);
    done(result, text, arg);
}

/* A script is sent by its name; one that Redis does not know is sent to it, and then the command once more. */
static int teach(struct enqueue *enqueue, struct enqueue_item *item)
{
    static struct connection_request unheeded; /* Whether Redis has learned it shows in the next reply. */

    item->taught = true;
    command_start(&enqueue->command, "SCRIPT", "LOAD", queue_script_enqueue.source, NULL);
    int r = connection_send(enqueue->connection, &enqueue->command, &unheeded);

    return r < 0 ? r : connection_send_raw(enqueue->connection, item->command, item->size, &item->request);
}

static void on_reply(struct connection_request *request, const redisReply *reply)
{
    struct enqueue_item *item = container_of(request, struct enqueue_item, request);
    struct enqueue *enqueue = item->enqueue;

    enqueue->wake(enqueue->user);
    if (reply && reply_is_error(reply, "NOSCRIPT") && !item->taught && teach(enqueue, item) == 0)
        return;
    if (!reply)
        answer_item(item, -ENOTCONN, "the connection to Redis was lost");
    else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
        answer_item(item, 0, reply->str);
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->str)
        answer_item(item, 0, reply->element[0]->str);
    else
        answer_item(item, -EIO, reply->str ? reply->str : "an answer that makes no sense");
}

/* The last field of the name, which is the one that counts, or NULL. */
static const struct job_field *find_field(const struct queue_message *message, const char *name)
{
    for (size_t i = message->field_count; i > 0; i--)
        if (strcmp(message->fields[i - 1].name, name) == 0)
            return &message->fields[i - 1];
    return NULL;
}

/* What is wrong with `unique_for`, whoever fetches the message will say. */
static void start_unique(struct command *command, const struct queue_keys *keys, const struct queue_message *message,
                         const struct job_field *unique)
{
    const struct job_field *id = find_field(message, "id"), *held_for = find_field(message, "unique_for");
    int64_t unique_for_ms = 0;

    if (held_for)
        (void)!units_parse_duration(held_for->value, held_for->size, &unique_for_ms);
    command_start(command, "EVALSHA", queue_script_enqueue.sha, NULL);
    command_add_number(command, QUEUE_KEY_COUNT);
    command_add_queue(command, keys);
    command_add(command, unique->value, unique->size);
    command_add_number(command, unique_for_ms);
    command_add(command, id ? id->value : "", id ? id->size : 0);
}

static int write_command(struct command *command, const struct queue_keys *keys, const struct queue_message *message,
                         char **ret_command, size_t *ret_size)
{
    const struct job_field *unique = find_field(message, "unique");
    long long size;

    if (unique)
        start_unique(command, keys, message, unique);
    else
        command_start(command, "XADD", keys->names[QUEUE_KEY_STREAM], "*", NULL);
    for (size_t i = 0; i < message->field_count; i++) {
        command_add_text(command, message->fields[i].name);
        command_add(command, message->fields[i].value, message->fields[i].size);
    }
    if (command->failed)
        return -ENOMEM;
    size = redisFormatCommandArgv(ret_command, (int)command->count, command->bytes, command->sizes);
    if (size < 0)
        return -ENOMEM;
    *ret_size = (size_t)size;
    return 0;
}

static int make_item(struct enqueue *enqueue, const struct queue_message *message, struct enqueue_item **ret_item)
{
    struct enqueue_item *item = calloc(1, sizeof(*item));
    struct queue_keys keys;

    if (!item)
        return -ENOMEM;
    int r = queue_keys_init(&keys, enqueue->prefix, message->queue);
    if (r == 0) {
        r = write_command(&enqueue->command, &keys, message, &item->command, &item->size);
        queue_keys_done(&keys);
    }
    if (r < 0) {
        free_item(item);
        return r;
    }
    item->request = (struct connection_request){.done = on_reply, .takes_blame = true};
    item->enqueue = enqueue;
    *ret_item = item;
    return 0;
}

int enqueue_add(struct enqueue *enqueue, const struct queue_message *message,
                void (*done)(int result, const char *text, void *arg), void *arg)
{
    struct enqueue_item *item;

    assert(message->queue && done);
    if (!connection_is_up(enqueue->connection))
        return -ENOTCONN;
    int r = make_item(enqueue, message, &item);
    if (r < 0)
        return r;
    item->done = done;
    item->arg = arg;
    TAILQ_INSERT_TAIL(&enqueue->items, item, entry);
    enqueue->wake(enqueue->user);
    return 0;
}

/* An answer may add items behind the last one that was there before, and they wait for the next time. */
void enqueue_flush(struct enqueue *enqueue)
{
    struct enqueue_item *item, *first = NULL, *last = TAILQ_LAST(&enqueue->items, enqueue_items);

    TAILQ_FOREACH_REVERSE (item, &enqueue->items, enqueue_items, entry) {
        if (item->sent)
            break;
        first = item;
    }
    for (struct enqueue_item *next; (item = first) != NULL; first = item == last ? NULL : next) {
        next = TAILQ_NEXT(item, entry);
        item->sent = connection_send_raw(enqueue->connection, item->command, item->size, &item->request) == 0;
        if (!item->sent)
            answer_item(item, -ENOTCONN, "there is no connection to Redis");
    }
}

bool enqueue_is_empty(const struct enqueue *enqueue)
{
    return TAILQ_EMPTY(&enqueue->items);
}

int enqueue_new(struct connection *connection, const char *prefix, void (*wake)(void *user), void *user,
                struct enqueue **ret_enqueue)
{
    struct enqueue *enqueue = calloc(1, sizeof(*enqueue));

    if (!enqueue)
        return -ENOMEM;
    enqueue->connection = connection;
    enqueue->prefix = prefix;
    enqueue->wake = wake;
    enqueue->user = user;
    TAILQ_INIT(&enqueue->items);
    *ret_enqueue = enqueue;
    return 0;
}

struct enqueue *enqueue_free(struct enqueue *enqueue)
{
    if (!enqueue)
        return NULL;
    for (struct enqueue_item *item; (item = TAILQ_FIRST(&enqueue->items)) != NULL; free_item(item))
        TAILQ_REMOVE(&enqueue->items, item, entry);
    command_done(&enqueue->command);
    free(enqueue);
    return NULL;
}
