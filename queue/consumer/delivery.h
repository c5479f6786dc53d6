/*
 * Delivery: the entries of a reply to XREADGROUP, each of which becomes a job, a refused message, or nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "queue/consumer/client.h"
#include "queue/consumer/control.h"
#include "queue/entry.h"
#include "queue/keys.h"
#include "queue/message/message.h"
#include "queue/redis/reply.h"
#include "queue/settle/settle.h"

/* Where they give an error, the entry counts as never received. */
struct delivery_events {
    /* A job of the queue number `queue`, which becomes the receiver's. Gives 1 if it takes a place of the room, or 0.
     */
    int (*job)(struct job *job, size_t queue, void *user);
    /* A message that is none. */
    int (*rejected)(const char *entry, const struct message_rejection *rejection, size_t queue, void *user);
    /* An entry that somebody has deleted after it was given to us. */
    int (*vanished)(const char *entry, size_t queue, void *user);
};

/* The owner fills in what is above the line; the rest is zero at first. */
struct delivery {
    const struct queue_keys *keys;
    const struct message_limits *limits;
    struct entry_set *held; /* gets each entry */
    const struct delivery_events *events;
    void *user;
    /* ---- */
    struct message_field *fields;
    size_t capacity;
    size_t largest;  /* message lately, in bytes; at first as large as one may be */
    uint64_t serial; /* of the last entry */
    bool missed;     /* there was no memory for some, which Redis still has down as ours; the owner sees to that */
};

/* The number of entries in the reply to a read: of one queue, or of several. */
size_t delivery_count(const redisReply *reply);

/* The entries of one stream in such a reply, and the stream's key. NULL: there is no stream number `i`. */
const redisReply *delivery_stream(const redisReply *reply, size_t i, const char **ret_key);

/* Takes all `entries` of a queue; gives how many places of the room they took. New ones lie side by side in the stream;
 * those that are read again need not, and are passed over where they are held. */
unsigned delivery_take_new(struct delivery *delivery, size_t queue, const redisReply *entries);
unsigned delivery_take_again(struct delivery *delivery, size_t queue, const redisReply *entries);

/* How many messages make up so many bytes, if they are as large as the largest one lately; 1 at least. */
int64_t delivery_estimate(const struct delivery *delivery, size_t bytes);

void delivery_done(struct delivery *delivery);

/*
 * The receiver of deliveries: what becomes of what arrives. A job is handed over to be run, or settled at once because
 * it is not due, is to be cancelled, or comes when nothing is run any more; a message that is none becomes a dead
 * letter.
 */

/* All but the last two is borrowed. */
struct delivery_receiver {
    const struct queue_options *options;
    const struct queue_events *events;
    void *user; /* of `events` */
    struct settle *settle;
    const struct control *control;
    /* A job comes whose unique key may be another's. Takes it, and gives as struct delivery_events' `job`, or leaves it
     * and gives an error. */
    int (*ask)(struct job *job, size_t queue, void *asked);
    void *asked;
    bool closed;        /* nothing is run any more */
    size_t handed_over; /* jobs; the owner takes them off as they are settled */
};

/* Takes a job, of which it is known whether it has its unique key (`duplicate_of` is NULL) or another job of that ID
 * has it, and gives as struct delivery_events' `job`. */
int delivery_receive(struct delivery_receiver *receiver, size_t queue, struct job *job,
                     const char *duplicate_of) MUST_CHECK;

/* For a struct delivery_receiver as their `user`. */
extern const struct delivery_events delivery_receiver_events;
