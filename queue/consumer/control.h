/*
 * Cancelling, a worker's side: knows which jobs somebody wants to be cancelled, as cancel.lua has noted it, also when
 * they arrive later.
 *
 * One command, a few times a second, tells which queues have changed, for `weft cancel` or `weft ps`; only these are
 * read. Each queue is read anew when the connection is made, and one after the other, one a second, in case that nobody
 * has told of a change.
 */
#pragma once

#include <stdbool.h>

#include <event2/event.h>

#include "context/job.h"
#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/connection.h"
#include "queue/redis/health.h"

/* For how long it is noted that a job is to be cancelled: longer than any dead host's jobs wait for their lease. */
#define CANCEL_NOTED_MS (INT64_C(60) * 60 * 1000)

struct cancel;

struct cancel_events {
    /* Somebody wants the job `id` to be cancelled; told once for each time that it was asked for. */
    void (*cancelled)(size_t queue, const char *id, void *user);
    /* All queues have been read for the first time on this connection. */
    void (*known)(void *user);
    /* Somebody has asked something of the workers of a queue, or may have. */
    void (*changed)(size_t queue, void *user);
};

/* Everything is borrowed and must outlive what is made of it. */
struct cancel_setup {
    struct queue_link link;
    const struct cancel_events *events;
    void *user;
};

/* Errors: -ENOMEM. */
int cancel_new(const struct cancel_setup *setup, struct cancel **ret_cancel) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct cancel *cancel_free(struct cancel *cancel);

/* The connection is up: reads now, and then again and again. */
void cancel_start(struct cancel *cancel);

/* The connection is gone. What is known stays, until it is read anew. */
void cancel_stop(struct cancel *cancel);

/* Whether what is to be cancelled is known: until then no job should be taken. */
bool cancel_is_known(const struct cancel *cancel);

/* Whether the job is to be cancelled. One that was enqueued after that was asked for is another job of the same ID. */
bool cancel_has(const struct cancel *cancel, size_t queue, const struct job *job);
