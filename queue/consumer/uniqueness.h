/*
 * Uniqueness: has hold.lua take the unique keys of jobs that somebody else has enqueued, before they are run. What weft
 * enqueues has its key, or says who has it, when it comes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/macros.h"
#include "queue/link.h"

struct job;
struct uniqueness;

struct uniqueness_events {
    /* A job has its key (`first` is NULL), or is a duplicate of the job `first`; the record becomes the receiver's. */
    void (*answered)(struct job *job, size_t queue, const char *first, void *user);
    /* Another worker has, or will have, the job; the record likewise. */
    void (*gone)(struct job *job, size_t queue, void *user);
    /* Something waits for uniqueness_flush(), which is to be called from the event loop soon. */
    void (*wake)(void *user);
};

/* What is given is borrowed, the link as it says. Errors: -ENOMEM. */
int uniqueness_new(const struct queue_link *link, const struct uniqueness_events *events, void *user,
                   struct uniqueness **ret_uniqueness) MUST_CHECK;

/* Frees the jobs that wait. Not before its connection is freed. Takes NULL, gives NULL. */
struct uniqueness *uniqueness_free(struct uniqueness *uniqueness);

/* Asks for a job of the queue number `queue`. The record becomes its own until it is answered, in an event. Errors:
 * -ENOMEM, and then it does not. */
int uniqueness_ask(struct uniqueness *uniqueness, size_t queue, struct job *job) MUST_CHECK;

/* Sends what waits, as far as Redis is up. What it refuses to write is asked again each second. */
void uniqueness_flush(struct uniqueness *uniqueness);

/* Whether no job waits. */
bool uniqueness_is_empty(const struct uniqueness *uniqueness);
