/*
 * Enqueuing: adds messages to the streams of their queues, many in one write.
 */
#pragma once

#include <stdbool.h>

#include "context/macros.h"
#include "queue/consumer/client.h"
#include "queue/redis/connection.h"

struct enqueue;

/* `wake` is called when enqueue_flush() is to be called, soon and from the event loop. What is given is borrowed.
 * Errors: -ENOMEM. */
int enqueue_new(struct connection *connection, const char *prefix, void (*wake)(void *user), void *user,
                struct enqueue **ret_enqueue) MUST_CHECK;

/* Forgets messages that have not been answered; their `done` is not called. Not before its connection is freed. Takes
 * NULL, gives NULL. */
struct enqueue *enqueue_free(struct enqueue *enqueue);

/* As queue_client_enqueue(). */
int enqueue_add(struct enqueue *enqueue, const struct queue_message *message,
                void (*done)(int result, const char *text, void *arg), void *arg) MUST_CHECK;

/* Sends what waits; where the connection is gone, answers it with -ENOTCONN. */
void enqueue_flush(struct enqueue *enqueue);

/* Whether nothing waits for its answer. */
bool enqueue_is_empty(const struct enqueue *enqueue);
