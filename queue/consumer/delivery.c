#include "queue/consumer/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/clock.h"

size_t arrival_count(const redisReply *reply)
{
    size_t count = 0;
    const redisReply *entries;
    const char *key;

    for (size_t i = 0; (entries = arrival_stream(reply, i, &key)) != NULL; i++)
        count += entries->elements;
    return count;
}

const redisReply *arrival_stream(const redisReply *reply, size_t i, const char **ret_key)
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

static int reserve_fields(struct arrival *arrival, size_t count)
{
    struct message_field *fields;

    if (count <= arrival->capacity)
        return 0;
    fields = reallocarray(arrival->fields, count, sizeof(*fields));
    if (!fields)
        return -ENOMEM;
    arrival->fields = fields;
    arrival->capacity = count;
    return 0;
}

/* A message counts as an element of the reply, and as what is made of it. */
#define MESSAGE_OVERHEAD 256

/* Gives the message's size in bytes, roughly. */
static size_t read_fields(struct arrival *arrival, const redisReply *list)
{
    size_t size = MESSAGE_OVERHEAD;

    for (size_t i = 0; i + 1 < list->elements; i += 2) {
        const redisReply *name = list->element[i];
        const redisReply *value = list->element[i + 1];

        arrival->fields[i / 2] = (struct message_field){name->str, name->len, value->str, value->len};
        size += name->len + value->len;
    }
    return size;
}

static size_t largest_possible(const struct arrival *arrival)
{
    return (size_t)arrival->limits->payload_max + JOB_METADATA_BYTES + MESSAGE_OVERHEAD;
}

/* What large messages teach is forgotten slowly: small ones between them say nothing about the next. */
static void note_size(struct arrival *arrival, size_t size)
{
    if (arrival->largest == 0)
        arrival->largest = largest_possible(arrival);
    if (size >= arrival->largest)
        arrival->largest = size;
    else
        arrival->largest -= (arrival->largest - size) / 32;
}

/* Gives whether a place is taken. An entry for which there is no memory stays pending, and is found again after the
 * next lost connection or by whoever reclaims what this process held. */
static bool take_message(struct arrival *arrival, size_t queue, const char *entry, struct entry_id id,
                         const redisReply *list)
{
    struct message_refusal refusal;
    struct job *job;
    size_t size;
    int r;

    if (reserve_fields(arrival, list->elements / 2) < 0)
        return false;
    size = read_fields(arrival, list);
    note_size(arrival, size);
    entry_set_note_bytes(arrival->held, queue, id, size);
    r = message_parse(arrival->keys[queue].queue, entry, arrival->fields, list->elements / 2, clock_now_ms(),
                      arrival->limits, &job, &refusal);
    if (r == 0)
        return arrival->events->job(job, queue, arrival->user);
    if (r == -EBADMSG)
        arrival->events->refused(entry, &refusal, queue, arrival->user);
    return false;
}

/* What Redis gives as new is run even where an entry of that ID is held already: it has forgotten that it gave it, or
 * somebody has emptied the stream and the ID came up again. */
static bool take_entry(struct arrival *arrival, size_t queue, const redisReply *reply, bool again)
{
    const char *entry;
    struct entry_id id;
    int r;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str)
        return false;
    entry = reply->element[0]->str;
    if (entry_id_parse(entry, &id) < 0)
        return false;
    r = entry_set_add(arrival->held, queue, id, arrival->serial);
    if (r < 0 || (r == 0 && again))
        return false;
    if (reply->element[1]->type == REDIS_REPLY_ARRAY)
        return take_message(arrival, queue, entry, id, reply->element[1]);
    arrival->events->vanished(entry, queue, arrival->user);
    return false;
}

/* Only new entries get consecutive serials, and what was taken before is never next to what comes now. */
static unsigned take_entries(struct arrival *arrival, size_t queue, const redisReply *entries, bool again)
{
    unsigned places = 0;

    arrival->serial++;
    for (size_t i = 0; i < entries->elements; i++) {
        arrival->serial += again ? 2 : 1;
        places += take_entry(arrival, queue, entries->element[i], again);
    }
    return places;
}

unsigned arrival_take_new(struct arrival *arrival, size_t queue, const redisReply *entries)
{
    return take_entries(arrival, queue, entries, false);
}

unsigned arrival_take_again(struct arrival *arrival, size_t queue, const redisReply *entries)
{
    return take_entries(arrival, queue, entries, true);
}

int64_t arrival_estimate(const struct arrival *arrival, size_t bytes)
{
    size_t largest = arrival->largest > 0 ? arrival->largest : largest_possible(arrival);

    return largest < bytes ? (int64_t)(bytes / largest) : 1;
}

void arrival_done(struct arrival *arrival)
{
    free(arrival->fields);
    arrival->fields = NULL;
    arrival->capacity = 0;
}
