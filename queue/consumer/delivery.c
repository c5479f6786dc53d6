#include "queue/consumer/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "context/time.h"

size_t delivery_count(const redisReply *reply)
{
    size_t count = 0;
    const redisReply *entries;
    const char *key;

    for (size_t i = 0; (entries = delivery_stream(reply, i, &key)) != NULL; i++)
        count += entries->elements;
    return count;
}

const redisReply *delivery_stream(const redisReply *reply, size_t i, const char **ret_key)
{
    const redisReply *stream;

    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
        return NULL;
    stream = reply->element[i];
    if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2 || !stream->element[0]->str)
        return NULL;
    *ret_key = stream->element[0]->str;
    return stream->element[1];
}

static int reserve_fields(struct delivery *delivery, size_t count)
{
    struct message_field *fields;

    if (count <= delivery->capacity)
        return 0;
    fields = reallocarray(delivery->fields, count, sizeof(*fields));
    if (!fields)
        return -ENOMEM;
    delivery->fields = fields;
    delivery->capacity = count;
    return 0;
}

/* A message counts as an element of the reply, and as what is made of it. */
#define MESSAGE_OVERHEAD 256

static size_t largest_possible(const struct delivery *delivery)
{
    return (size_t)delivery->limits->payload_max + JOB_METADATA_BYTES + MESSAGE_OVERHEAD;
}

/* Gives the message's size in bytes, roughly, and notes it for the next estimate. What large messages teach is
 * forgotten slowly: small ones between them say nothing about the next. */
static size_t read_fields(struct delivery *delivery, const redisReply *list)
{
    size_t size = MESSAGE_OVERHEAD;

    for (size_t i = 0; i + 1 < list->elements; i += 2) {
        const redisReply *name = list->element[i];
        const redisReply *value = list->element[i + 1];

        delivery->fields[i / 2] = (struct message_field){name->str, name->len, value->str, value->len};
        size += name->len + value->len;
    }
    if (delivery->largest == 0)
        delivery->largest = largest_possible(delivery);
    if (size >= delivery->largest)
        delivery->largest = size;
    else
        delivery->largest -= (delivery->largest - size) / 32;
    return size;
}

/* Gives 1 if a place is taken, or 0. */
static int take_message(struct delivery *delivery, size_t queue, const char *entry, struct entry_id id,
                        const redisReply *list)
{
    struct message_rejection rejection;
    struct job *job;
    size_t size;
    int r;

    r = reserve_fields(delivery, list->elements / 2);
    if (r < 0)
        return r;
    size = read_fields(delivery, list);
    entry_set_note_bytes(delivery->held, queue, id, size);
    r = message_parse(delivery->keys[queue].queue, entry, delivery->fields, list->elements / 2, time_unix_ms(),
                      delivery->limits, &job, &rejection);
    if (r == 0)
        return delivery->events->job(job, queue, delivery->user);
    if (r == -EBADMSG)
        return delivery->events->rejected(entry, &rejection, queue, delivery->user);
    return r;
}

/* Gives whether a place is taken. What Redis gives as new is run even where an entry of that ID is held already: it has
 * forgotten that it gave it, or somebody has emptied the stream and the ID came up again. An entry for which there is
 * no memory is not held, so that it is found when those are looked for that got lost. */
static bool take_entry(struct delivery *delivery, size_t queue, const redisReply *reply, bool again)
{
    const char *entry;
    struct entry_id id;
    bool added;
    int r;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str)
        return false;
    entry = reply->element[0]->str;
    if (entry_id_parse(entry, &id) < 0)
        return false;
    r = entry_set_add(delivery->held, queue, id, delivery->serial);
    if (r == 0 && again)
        return false;
    added = r == 1;
    if (r >= 0 && reply->element[1]->type == REDIS_REPLY_ARRAY)
        r = take_message(delivery, queue, entry, id, reply->element[1]);
    else if (r >= 0)
        r = delivery->events->vanished(entry, queue, delivery->user);
    if (r < 0 && added)
        entry_set_remove(delivery->held, queue, id);
    if (r < 0)
        delivery->missed = true;
    return r == 1;
}

/* Only new entries get consecutive serials, and what was taken before is never next to what comes now. */
static unsigned take_entries(struct delivery *delivery, size_t queue, const redisReply *entries, bool again)
{
    unsigned places = 0;

    delivery->serial++;
    for (size_t i = 0; i < entries->elements; i++) {
        delivery->serial += again ? 2 : 1;
        places += take_entry(delivery, queue, entries->element[i], again);
    }
    return places;
}

unsigned delivery_take_new(struct delivery *delivery, size_t queue, const redisReply *entries)
{
    return take_entries(delivery, queue, entries, false);
}

unsigned delivery_take_again(struct delivery *delivery, size_t queue, const redisReply *entries)
{
    return take_entries(delivery, queue, entries, true);
}

int64_t delivery_estimate(const struct delivery *delivery, size_t bytes)
{
    size_t largest = delivery->largest > 0 ? delivery->largest : largest_possible(delivery);

    return largest < bytes ? (int64_t)(bytes / largest) : 1;
}

void delivery_done(struct delivery *delivery)
{
    free(delivery->fields);
    delivery->fields = NULL;
    delivery->capacity = 0;
}

/* ---- What becomes of what arrives ---- */

int delivery_receive(struct delivery_receiver *receiver, size_t queue, struct job *job, const char *duplicate_of)
{
    struct settlement settlement = {.job = job, .due_ms = job->due_ms, .duplicate_of = duplicate_of};
    int r;

    if (duplicate_of) {
        settlement.outcome = JOB_DUPLICATE;
    } else if (control_cancels(receiver->control, queue, job)) {
        settlement.outcome = JOB_CANCELLED;
        settlement.error = "cancelled";
    } else if (job->due_ms > 0) {
        settlement.outcome = JOB_DELAYED;
    } else if (receiver->closed) {
        settlement.outcome = JOB_RETURNED;
    } else {
        receiver->handed_over++;
        receiver->events->job(job, receiver->user);
        return 1;
    }
    r = settle_add(receiver->settle, queue, &settlement);
    if (r == 0 && settlement.outcome == JOB_CANCELLED)
        receiver->events->discarded(job, receiver->user);
    else if (r == 0 && settlement.outcome == JOB_DUPLICATE)
        receiver->events->duplicate(job, duplicate_of, receiver->user);
    job_free(job);
    return r;
}

static int on_job(struct job *job, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;
    int r;

    if (!job->unique || job->unique_held || job->duplicate_of || receiver->closed)
        return delivery_receive(receiver, queue, job, job->duplicate_of);
    r = receiver->ask(job, queue, receiver->asked);
    if (r < 0)
        job_free(job);
    return r;
}

static int on_rejected(const char *entry, const struct message_rejection *rejection, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;
    struct queue_rejection event = {
        .id = rejection->id,
        .type = rejection->type[0] ? rejection->type : NULL,
        .queue = receiver->options->queues[queue].name,
        .reason = rejection->reason,
    };
    int r;

    r = settle_reject(receiver->settle, queue, entry, rejection);
    if (r == 0)
        receiver->events->rejected(&event, receiver->user);
    return r;
}

static int on_vanished(const char *entry, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;

    return settle_forget(receiver->settle, queue, entry);
}

const struct delivery_events delivery_receiver_events = {on_job, on_rejected, on_vanished};
