#include "queue/maintenance/reaper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/consumer_name.h"
#include "queue/lease.h"
#include "queue/maintenance/sighting.h"
#include "queue/redis/call.h"

#define PERIOD_S   1
#define SWEEP      10   /* queues a look, in turn */
#define GONE_MAX   64   /* dead consumers that are remembered: reads of theirs last for seconds */
#define GAP_MIN_MS 2000 /* between two looks; no consumer that lives pauses longer before it connects again */

struct reaper {
    struct connection_request delisting; /* of all */
    struct queue_link link;
    struct backlog *backlog;
    uint32_t host;
    struct command command;
    struct event *timer;
    char gone[GONE_MAX][CONSUMER_NAME_SIZE];
    size_t gone_count;          /* ever */
    struct call roll;           /* a look at the set of workers */
    struct sighting *absentees; /* workers in the set that are dead, or whose lease seems to be over; noted: all queues
                                 * are to give back what they hold */
    struct queue_calls looks;   /* at queues' consumers */
    size_t swept;               /* the queue at which the sweep goes on */
    struct sighting *sightings[]; /* the same of each queue's consumers */
};

/* What Redis says of a consumer. */
struct reaper_row {
    const char *name;
    int64_t idle_ms; /* since it was heard of */
};

/* ---- Judging ---- */

/* What is dead, or silent. NULL: there is no memory. */
static struct sighting *note_sighting(struct sighting **list, const char *name, int64_t now_ms)
{
    struct sighting *sighting = sighting_note(list, name, now_ms);

    if (sighting && sighting->since_ms == now_ms)
        weft_debug("reaper: %s seems to be dead", name);
    return sighting;
}

/* How long a lease has to look as if it were over. */
static int64_t gap_ms(const struct reaper *reaper)
{
    int64_t period_ms = LEASE_PERIOD_MS(reaper->link.options->lease_ms);

    return period_ms > GAP_MIN_MS ? period_ms : GAP_MIN_MS;
}

/* Where nobody else can use this Redis, whoever is not of this host was, before it was restarted. */
static bool is_dead(const struct reaper *reaper, const char *consumer)
{
    enum consumer_life life = consumer_look(consumer, reaper->host);

    if (life == CONSUMER_DEAD || (life == CONSUMER_ELSEWHERE && reaper->link.options->exclusive))
        return true;
    for (size_t i = 0; i < GONE_MAX && i < reaper->gone_count; i++)
        if (strcmp(reaper->gone[i], consumer) == 0)
            return true;
    return false;
}

static int judge(struct reaper *reaper, size_t queue, const struct reaper_row *row)
{
    int64_t silence_ms = LEASE_SILENCE_MS(reaper->link.options->lease_ms);
    int64_t now_ms = time_steady_ms();

    if (is_dead(reaper, row->name))
        return backlog_add(reaper->backlog, queue, row->name, RECLAIM_DEAD, 0);
    if (row->idle_ms <= silence_ms)
        return 0;
    const struct sighting *sighting = note_sighting(&reaper->sightings[queue], row->name, now_ms);
    if (!sighting || now_ms - sighting->since_ms < gap_ms(reaper))
        return 0;
    return backlog_add(reaper->backlog, queue, row->name, RECLAIM_EXPIRED, silence_ms);
}

/* ---- Looking ---- */

/* By the names of fields: later versions of Redis have more of them. */
static bool read_row(const redisReply *fields, struct reaper_row *ret_row)
{
    struct reaper_row row = {.idle_ms = -1};

    for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];

        if (!name->str)
            continue;
        if (strcmp(name->str, "name") == 0)
            row.name = value->str;
        else if (strcmp(name->str, "idle") == 0 && value->type == REDIS_REPLY_INTEGER)
            row.idle_ms = value->integer;
    }
    if (!row.name || row.idle_ms < 0)
        return false;
    *ret_row = row;
    return true;
}

/* A queue that cannot be read, or has no group, has no consumers. Whoever is not judged for want of memory is found
 * again by the next look. */
static void on_looked(struct queue_calls *calls, size_t queue, const redisReply *reply)
{
    struct reaper *reaper = container_of(calls, struct reaper, looks);
    struct reaper_row row;

    if (!reply)
        return;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        if (read_row(reply->element[i], &row) && judge(reaper, queue, &row) < 0)
            break;
    (void)sighting_sift(&reaper->sightings[queue]);
}

static void write_look(const struct queue_calls *calls, size_t queue, struct command *command)
{
    command_start(command, "XINFO", "CONSUMERS", calls->link.keys[queue].names[QUEUE_KEY_STREAM], QUEUE_GROUP, NULL);
}

static const struct queue_calls_kind look_calls = {.write = write_look, .done = on_looked};

/* Where somebody seems to be silent, each second, so that a sign of life is not missed. */
static void sweep(struct reaper *reaper)
{
    size_t count = reaper->link.options->queue_count;

    for (size_t i = 0; i < SWEEP && i < count; i++) {
        (void)!queue_calls_send(&reaper->looks, reaper->swept);
        reaper->swept = (reaper->swept + 1) % count;
    }
    for (size_t i = 0; i < count; i++)
        if (reaper->sightings[i])
            (void)!queue_calls_send(&reaper->looks, i);
}

/* ---- The set of workers ---- */

/* Whoever serves other queues, too, is taken off the set by somebody who has them all.
 *
 * By the set alone a lease is over only after all of it: then each queue has been silent for long enough, too, whatever
 * was read there between the worker's last sign of life and its end. */
static void judge_absentee(struct reaper *reaper, const char *name, const char *consumer, int64_t silent_ms)
{
    int64_t lease_ms = reaper->link.options->lease_ms;
    int64_t now_ms = time_steady_ms();
    bool dead = is_dead(reaper, consumer);

    if (!dead && silent_ms <= LEASE_SILENCE_MS(lease_ms))
        return;
    struct sighting *absentee = note_sighting(&reaper->absentees, name, now_ms);
    if (!absentee)
        return;
    if (absentee->noted) {
        if (backlog_has(reaper->backlog, consumer) || !enlist_has_queues(name, reaper->link.options))
            return;
        command_start(&reaper->command, "ZREM", reaper->link.keys[0].names[QUEUE_KEY_WORKERS], name, NULL);
        (void)!connection_send(reaper->link.connection, &reaper->command, &reaper->delisting);
    } else if (dead) {
        absentee->noted = backlog_add_everywhere(reaper->backlog, consumer, RECLAIM_DEAD, 0) == 0;
    } else if (silent_ms >= lease_ms && now_ms - absentee->since_ms >= gap_ms(reaper)) {
        absentee->noted =
            backlog_add_everywhere(reaper->backlog, consumer, RECLAIM_EXPIRED, LEASE_SILENCE_MS(lease_ms)) == 0;
    }
}

static void read_roll(struct reaper *reaper, const redisReply *reply)
{
    const redisReply *workers = reply->element[1];
    int64_t redis_ms = strtoll(reply->element[0]->str, NULL, 10);
    char consumer[CONSUMER_NAME_SIZE];

    for (size_t i = 0; i + 1 < workers->elements; i += 2) {
        const redisReply *name = workers->element[i], *seen = workers->element[i + 1];

        if (name->str && seen->str && enlist_read(name->str, consumer, sizeof(consumer)))
            judge_absentee(reaper, name->str, consumer, redis_ms - (int64_t)strtod(seen->str, NULL));
    }
    (void)sighting_sift(&reaper->absentees);
}

/* A set that cannot be read leaves it to the sweep to find who is dead. */
static void on_called(struct call *call, const redisReply *reply)
{
    struct reaper *reaper = container_of(call, struct reaper, roll);

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str)
        read_roll(reaper, reply);
}

static int write_roll(struct call *call)
{
    const struct queue_keys *keys = &container_of(call, struct reaper, roll)->link.keys[0];

    command_add(call_start(call, 1), keys->names[QUEUE_KEY_WORKERS], keys->sizes[QUEUE_KEY_WORKERS]);
    return 0;
}

static const struct call_kind roll_call = {.script = &queue_script_roll, .write = write_roll, .done = on_called};

static void call_roll(struct reaper *reaper)
{
    if (!reaper->roll.under_way)
        (void)!call_send(&reaper->roll, &roll_call, reaper->link.connection, &reaper->command);
}

/* ---- For the owner ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reaper *reaper = arg;

    (void)fd;
    (void)what;
    call_roll(reaper);
    sweep(reaper);
}

void reaper_note_gone(struct reaper *reaper, const char *consumer)
{
    (void)snprintf(reaper->gone[reaper->gone_count++ % GONE_MAX], CONSUMER_NAME_SIZE, "%s", consumer);
}

void reaper_start(struct reaper *reaper)
{
    for (size_t i = 0; i < reaper->link.options->queue_count; i++)
        (void)sighting_sift(&reaper->sightings[i]);
    (void)sighting_sift(&reaper->absentees);
    call_roll(reaper);
    (void)!queue_calls_send_all(&reaper->looks);
    event_add(reaper->timer, &(struct timeval){.tv_sec = PERIOD_S});
}

int reaper_new(const struct queue_link *link, struct backlog *backlog, struct reaper **ret_reaper)
{
    const struct queue_options *options = link->options;
    struct reaper *reaper = calloc(1, sizeof(*reaper) + options->queue_count * sizeof(reaper->sightings[0]));

    if (!reaper)
        return -ENOMEM;
    reaper->link = *link;
    reaper->backlog = backlog;
    reaper->host = consumer_host();
    reaper->timer = event_new(link->base, -1, EV_PERSIST, on_timer, reaper);
    if (!reaper->timer || queue_calls_init(&reaper->looks, link, &look_calls) < 0) {
        reaper_free(reaper);
        return -ENOMEM;
    }
    *ret_reaper = reaper;
    return 0;
}

struct reaper *reaper_free(struct reaper *reaper)
{
    if (!reaper)
        return NULL;
    if (reaper->timer)
        event_free(reaper->timer);
    for (size_t i = 0; i < reaper->link.options->queue_count; i++)
        (void)sighting_sift(&reaper->sightings[i]);
    (void)sighting_sift(&reaper->absentees);
    queue_calls_done(&reaper->looks);
    command_done(&reaper->command);
    free(reaper);
    return NULL;
}
