#include "queue/lease.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/container.h"
#include "context/hash.h"
#include "context/time.h"
#include "queue/redis/call.h"

/* A range of pending entries that is always empty. Reading it is what Redis, of all versions, takes for a sign of life;
 * a read that blocks is one only when it begins. */
#define NO_ENTRIES "18446744073709551615-18446744073709551614"

/* Reads renew the lease of all queues that they wait for, but a read may wait for 2 s, which is too long for leases
 * of a few seconds. */
#define SHORT_MS 8000

/* For how long the set of workers keeps who gives no sign of life, at least. */
#define KEPT_MIN_MS (INT64_C(10) * 60 * 1000)

struct lease {
    struct connection_request request; /* of all queues */
    struct call enlistment;
    struct connection_request delisting;
    struct lease_setup setup;
    char name[ENLIST_NAME_SIZE]; /* in the set of workers */
    struct command command;
    struct event *timer;
    bool stopped;
    bool whole;           /* the renewal under way has been sent for all queues */
    size_t outstanding;   /* replies */
    int64_t sent_ms;      /* steady time of the last renewal */
    int64_t confirmed_ms; /* when the last one was sent that Redis has answered; 0: none over this connection */
    bool holds[];         /* of each queue: a job of it is held */
};

/* ---- Names in the set of workers ---- */

/* Of each name, added up: the order of the queues does not matter. */
static uint64_t hash_queues(const struct queue_options *options)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < options->queue_count; i++) {
        const char *name = options->queues[i].name;

        sum += hash_add_64(HASH_64, name, strlen(name));
    }
    return sum;
}

int enlist_format(char *buffer, size_t size, const char *consumer, const struct queue_options *options)
{
    int length = snprintf(buffer, size, "%s %016" PRIx64, consumer, hash_queues(options));

    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

bool enlist_read(const char *name, char *ret_consumer, size_t size)
{
    const char *space = strrchr(name, ' ');
    size_t length = space ? (size_t)(space - name) : 0;

    if (length == 0 || length >= size)
        return false;
    memcpy(ret_consumer, name, length);
    ret_consumer[length] = '\0';
    return true;
}

bool enlist_has_queues(const char *name, const struct queue_options *options)
{
    const char *space = strrchr(name, ' ');
    char queues[17];

    (void)snprintf(queues, sizeof(queues), "%016" PRIx64, hash_queues(options));
    return space && strcmp(space + 1, queues) == 0;
}

int64_t enlist_kept_ms(const struct queue_options *options)
{
    int64_t kept_ms = 4 * options->lease_ms;

    return kept_ms > KEPT_MIN_MS ? kept_ms : KEPT_MIN_MS;
}

/* ---- Signs of life ---- */

static void set_timer(struct lease *lease)
{
    int64_t ms = LEASE_PERIOD_MS(lease->setup.link.options->lease_ms);

    event_add(lease->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static int write_enlistment(struct call *call)
{
    const struct lease *lease = container_of(call, struct lease, enlistment);
    const struct queue_keys *keys = &lease->setup.link.keys[0];
    struct command *command = call_start(call, 1);

    command_add(command, keys->names[QUEUE_KEY_WORKERS], keys->sizes[QUEUE_KEY_WORKERS]);
    command_add_text(command, lease->name);
    command_add_number(command, enlist_kept_ms(lease->setup.link.options));
    return 0;
}

static void on_enlisted(struct call *call, const redisReply *reply);

static const struct call_kind enlist_call = {
    .script = &queue_script_enlist, .seldom = true, .write = write_enlistment, .done = on_enlisted};

static void renew(struct lease *lease)
{
    const struct queue_options *options = lease->setup.link.options;
    const struct entry_set *held = lease->setup.held;

    assert(lease->outstanding == 0 && !lease->stopped);
    lease->sent_ms = time_steady_ms();
    lease->whole = true;
    if (call_send(&lease->enlistment, &enlist_call, lease->setup.link.connection, &lease->command) == 0)
        lease->outstanding++;
    else
        lease->whole = false;
    for (size_t i = 0; i < options->queue_count; i++)
        lease->holds[i] = options->lease_ms < SHORT_MS;
    for (size_t i = 0; i < held->capacity; i++)
        if (held->slots[i].queue != 0 && held->slots[i].state != ENTRY_GONE)
            lease->holds[held->slots[i].queue - 1] = true;
    for (size_t i = 0; i < options->queue_count; i++) {
        if (!lease->holds[i])
            continue;
        command_start(&lease->command, "XREADGROUP", "GROUP", QUEUE_GROUP, lease->setup.link.consumer, "COUNT", "1",
                      "STREAMS", lease->setup.link.keys[i].names[QUEUE_KEY_STREAM], NO_ENTRIES, NULL);
        if (connection_send(lease->setup.link.connection, &lease->command, &lease->request) == 0)
            lease->outstanding++;
        else
            lease->whole = false;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct lease *lease = arg;

    (void)fd;
    (void)what;
    if (!connection_is_up(lease->setup.link.connection))
        return;
    if (lease->outstanding == 0)
        renew(lease);
    set_timer(lease);
}

/* A queue that cannot be read, or has no group any more, holds nothing of ours that could be taken away. */
static void take_reply(struct lease *lease, const redisReply *reply)
{
    int64_t silence_ms = time_steady_ms() - lease->confirmed_ms;
    bool in_doubt = lease->confirmed_ms == 0 || silence_ms > LEASE_SILENCE_MS(lease->setup.link.options->lease_ms);

    assert(lease->outstanding > 0);
    lease->outstanding--;
    if (!reply)
        return;
    if (lease->outstanding > 0 || !lease->whole || !connection_is_up(lease->setup.link.connection))
        return;
    lease->confirmed_ms = lease->sent_ms;
    weft_debug("lease confirmed%s", in_doubt ? "; it was in doubt, so the jobs held are checked" : "");
    if (in_doubt)
        lease->setup.doubt(lease->setup.user);
}

static void on_reply(struct connection_request *request, const redisReply *reply)
{
    take_reply(container_of(request, struct lease, request), reply);
}

static void on_enlisted(struct call *call, const redisReply *reply)
{
    take_reply(container_of(call, struct lease, enlistment), reply);
}

void lease_start(struct lease *lease)
{
    if (lease->stopped)
        return;
    lease->confirmed_ms = 0;
    renew(lease);
    set_timer(lease);
}

/* Where that gets lost, whoever takes the reaper does it. An enlistment that is under way comes before it; what its
 * answer says does not matter any more. */
void lease_stop(struct lease *lease)
{
    lease->stopped = true;
    weft_debug("lease given up");
    event_del(lease->timer);
    command_start(&lease->command, "ZREM", lease->setup.link.keys[0].names[QUEUE_KEY_WORKERS], lease->name, NULL);
    (void)!connection_send(lease->setup.link.connection, &lease->command, &lease->delisting);
}

int lease_new(const struct lease_setup *setup, struct lease **ret_lease)
{
    struct lease *lease = calloc(1, sizeof(*lease) + setup->link.options->queue_count * sizeof(lease->holds[0]));

    if (!lease)
        return -ENOMEM;
    lease->request.done = on_reply;
    lease->setup = *setup;
    int r = enlist_format(lease->name, sizeof(lease->name), setup->link.consumer, setup->link.options);
    lease->timer = r == 0 ? event_new(setup->link.base, -1, 0, on_timer, lease) : NULL;
    if (!lease->timer) {
        free(lease);
        return r < 0 ? r : -ENOMEM;
    }
    *ret_lease = lease;
    return 0;
}

struct lease *lease_free(struct lease *lease)
{
    if (!lease)
        return NULL;
    event_free(lease->timer);
    command_done(&lease->command);
    free(lease);
    return NULL;
}
