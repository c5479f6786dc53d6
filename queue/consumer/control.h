/*
 * Control: what people want of a worker. Knows which jobs are to be cancelled, as cancel.lua has noted it, also when
 * they arrive later; and learns that `weft ps` wants to know what the worker does, and answers.
 *
 * One command, a few times a second, tells which queues have changed, for `weft cancel` or `weft ps`; only these are
 * read. Each queue is read anew when the connection is made, and one after the other, one a second, in case that nobody
 * has told of a change.
 *
 * An inquiry is a member of the queue's set of them: NONCE, or "NONCE ID" where it is about one job. Its answers are a
 * hash beside the set, whose name ends with the nonce, by consumer. Both are forgotten by Redis within seconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/job.h"
#include "context/macros.h"
#include "queue/consumer/client.h"
#include "queue/link.h"

/* For how long it is noted that a job is to be cancelled: longer than any dead host's jobs wait for their lease. */
#define CANCEL_NOTED_MS (INT64_C(60) * 60 * 1000)

/* How long an inquiry is kept, and its answers: longer than anybody waits for them. */
#define INQUIRY_KEPT_MS 10000

/* How many there may be at once in a queue, and how long one may be with its NUL. */
#define INQUIRIES_MAX 16
#define INQUIRY_SIZE  192

struct control;

struct control_events {
    /* Somebody wants the job `id` to be cancelled; told once for each time that it was asked for. */
    void (*cancelled)(size_t queue, const char *id, void *user);
    /* All queues have been read for the first time on this connection. */
    void (*known)(void *user);
    /* Somebody inquires; told once of each inquiry. */
    void (*inquired)(const struct queue_inquiry *inquiry, void *user);
};

/* What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int control_new(const struct queue_link *link, const struct control_events *events, void *user,
                struct control **ret_control) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct control *control_free(struct control *control);

/* The connection is up: reads now, and then again and again. */
void control_start(struct control *control);

/* The connection is gone. What is known stays, until it is read anew. */
void control_stop(struct control *control);

/* Whether what is to be cancelled is known: until then no job should be taken. */
bool control_is_known(const struct control *control);

/* Whether the job is to be cancelled. One that was enqueued after that was asked for is another job of the same ID. */
bool control_cancels(const struct control *control, size_t queue, const struct job *job);

/* Answers: `size` bytes, which are copied. Errors: -ENOTCONN, -ENOMEM. */
int control_answer(struct control *control, const struct queue_inquiry *inquiry, const char *text,
                   size_t size) MUST_CHECK;
