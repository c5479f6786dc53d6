/*
 * The names of a queue's keys in Redis. All that are the queue's own carry its name as a hash tag, so that one queue
 * lives in one slot.
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"

/* The consumer group that all of weft reads with. */
#define QUEUE_GROUP "weft"

enum queue_key {
    QUEUE_KEY_STREAM,  /* ready jobs and those in flight */
    QUEUE_KEY_DELAYED, /* sorted set: members of `bodies`, by the time they are due */
    QUEUE_KEY_DEAD,    /* stream: dead letters */
    QUEUE_KEY_BODIES,  /* hash: the messages of delayed jobs */
    QUEUE_KEY_DONE,    /* list: job IDs of the reports of done jobs, the oldest first */
    QUEUE_KEY_FAILED,  /* list: the same for dead jobs */
    QUEUE_KEY_CANCEL,  /* sorted set: IDs of jobs that are to be cancelled, by the time when that is forgotten */
    QUEUE_KEY_PS,      /* sorted set: inquiries of `weft ps`, by the time when they are forgotten */

    /* Keys of the whole prefix, which are the same for all queues. Where the queues are to be spread over a cluster,
     * there will have to be one of each for each of its nodes. */
    QUEUE_KEY_CONTROL, /* sorted set: queues whose `cancel` or `ps` has changed, by when */
    QUEUE_KEY_DUE,     /* sorted set: queues that have delayed jobs, by when the first is due */
    QUEUE_KEY_WORKERS, /* sorted set: workers, by their last sign of life */
    QUEUE_KEY_COUNT
};

struct queue_keys {
    const char *queue; /* the queue's name, borrowed */
    char *names[QUEUE_KEY_COUNT];
    size_t sizes[QUEUE_KEY_COUNT];
};

/* Makes the names; `queue` must outlive them. Errors: -ENOMEM, and then there is nothing to be done with `keys`. */
int queue_keys_init(struct queue_keys *keys, const char *prefix, const char *queue) MUST_CHECK;

/* Frees what the struct holds. Harmless on one that is all zero. */
void queue_keys_done(struct queue_keys *keys);

/* The key of what the nodes say of the queues that they read; see queue/scripts/unread.lua. Of the whole prefix too,
 * but no script for a queue is given it. To be given to free(); NULL: no memory. */
char *queue_keys_readers(const char *prefix) MUST_CHECK;

/* The number of the queue, among `count`, whose stream has that name; `count`: none. */
size_t queue_keys_find(const struct queue_keys *keys, size_t count, const char *stream);

/* The keys of `count` queues, as options name them, in one array to be given to queue_keys_free_all(). */
struct queue_options;
int queue_keys_new_all(const struct queue_options *options, struct queue_keys **ret_keys) MUST_CHECK;
struct queue_keys *queue_keys_free_all(struct queue_keys *keys, size_t count);
