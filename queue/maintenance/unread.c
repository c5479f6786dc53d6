#include "queue/maintenance/unread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <weft/log.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/maintenance/sighting.h"
#include "queue/redis/call.h"

/* So often it is said what this node reads, and gone through all keys; unread.lua lets six of these pass until a queue
 * is not read any more, and two until the turn is another node's. */
#define PERIOD_MS 5000

/* Between two slices. */
#define SLICE_MS 100

/* Nodes that start, or start anew, at the same time as this one are not there yet. */
#define GRACE_MS 10000

/* Who has more mistakes than that finds them with `weft queues`. */
#define FOUND_MAX 100

#define NUMBER_SIZE 24
#define VALUES      4 /* of a stream in the reply */

struct unread {
    struct call call;
    struct queue_link link;
    const struct maintenance_events *events;
    void *user;
    struct command command;
    struct event *timer;
    char *readers;          /* the key */
    char turn[NUMBER_SIZE]; /* as unread.lua gave them */
    char cursor[NUMBER_SIZE];
    int64_t said_ms;        /* steady time when this node has last said what it reads; 0: not over this connection */
    bool says;              /* so does the call under way */
    struct sighting *found; /* streams; noted: it was told */
    size_t found_count;
};

static void look_in(struct unread *unread, int ms)
{
    event_add(unread->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

/* And says again what this node reads: it may not have been heard. */
static void forget_turn(struct unread *unread)
{
    unread->turn[0] = '\0';
    memcpy(unread->cursor, "0", sizeof("0"));
    unread->said_ms = 0;
}

static void tell(const struct unread *unread, redisReply *const *values)
{
    unread->events->unread(
        &(struct unread_stream){
            .key = values[0]->str,
            .key_size = (size_t)values[0]->len,
            .jobs = values[1]->integer,
            .delayed = values[2]->integer,
            .read_ms = values[3]->integer,
        },
        unread->user);
}

/* What cannot be kept for want of memory is found again by the next look. */
static void note_stream(struct unread *unread, redisReply *const *values)
{
    int64_t now_ms = time_steady_ms();

    if (!values[0]->str)
        return;
    if (!sighting_find(unread->found, values[0]->str) && unread->found_count++ >= FOUND_MAX)
        return;
    struct sighting *stream = sighting_note(&unread->found, values[0]->str, now_ms);
    if (!stream || stream->noted || now_ms - stream->since_ms < GRACE_MS)
        return;
    stream->noted = true;
    tell(unread, values);
}

static bool read_number(const redisReply *reply, char *buffer)
{
    if (!reply->str || reply->len >= NUMBER_SIZE)
        return false;
    memcpy(buffer, reply->str, (size_t)reply->len + 1);
    return true;
}

static void read_answer(struct unread *unread, const redisReply *reply)
{
    for (size_t i = 2; i + VALUES <= reply->elements; i += VALUES)
        note_stream(unread, &reply->element[i]);
    if (strcmp(unread->cursor, "0") == 0 && unread->turn[0])
        unread->found_count = sighting_sift(&unread->found);
}

/* A Redis that refuses this (a user who may not SCAN, no memory) still serves all else: no reason to trouble anybody.
 */
static void on_looked(struct call *call, const redisReply *reply)
{
    struct unread *unread = container_of(call, struct unread, call);

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2 &&
        read_number(reply->element[0], unread->turn) && read_number(reply->element[1], unread->cursor)) {
        read_answer(unread, reply);
    } else {
        forget_turn(unread);
        if (reply && reply->type == REDIS_REPLY_ERROR)
            weft_debug("streams that nobody reads cannot be looked for: %s", reply->str);
    }
    look_in(unread, strcmp(unread->cursor, "0") == 0 ? PERIOD_MS : SLICE_MS);
}

static int write_look(struct call *call)
{
    const struct unread *unread = container_of(call, struct unread, call);
    const struct queue_options *options = unread->link.options;
    struct command *command = call_start(call, 1);

    command_add_text(command, unread->readers);
    command_add_text(command, options->prefix);
    command_add_text(command, unread->turn);
    command_add_text(command, unread->cursor);
    for (size_t i = 0; unread->says && i < options->queue_count; i++)
        command_add_text(command, options->queues[i].name);
    return 0;
}

static const struct call_kind look_call = {.script = &queue_script_unread, .write = write_look, .done = on_looked};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct unread *unread = arg;

    (void)fd;
    (void)what;
    if (unread->call.under_way)
        return;
    /* A look at very many keys must not outlast what was said at its start. */
    int64_t now_ms = time_steady_ms();
    unread->says = unread->said_ms == 0 || now_ms - unread->said_ms >= PERIOD_MS - SLICE_MS;
    /* Without a connection, unread_start() goes on when there is one again. */
    if (call_send(&unread->call, &look_call, unread->link.connection, &unread->command) == 0 && unread->says)
        unread->said_ms = now_ms;
}

void unread_start(struct unread *unread)
{
    forget_turn(unread);
    look_in(unread, 0);
}

int unread_new(const struct queue_link *link, const struct maintenance_events *events, void *user,
               struct unread **ret_unread)
{
    struct unread *unread = calloc(1, sizeof(*unread));

    if (!unread)
        return -ENOMEM;
    unread->link = *link;
    unread->events = events;
    unread->user = user;
    unread->timer = event_new(link->base, -1, 0, on_timer, unread);
    unread->readers = queue_keys_readers(link->options->prefix);
    if (!unread->timer || !unread->readers) {
        unread_free(unread);
        return -ENOMEM;
    }
    *ret_unread = unread;
    return 0;
}

struct unread *unread_free(struct unread *unread)
{
    if (!unread)
        return NULL;
    if (unread->timer)
        event_free(unread->timer);
    command_done(&unread->command);
    free(unread->readers);
    while (sighting_sift(&unread->found) > 0)
        continue;
    free(unread);
    return NULL;
}
