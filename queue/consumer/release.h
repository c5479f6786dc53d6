/*
 * Releasing a consumer: deletes it from the group of each queue, unless jobs are still pending for it.
 */
#pragma once

#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

struct release;

/* `done` is called when each queue has been answered for, or the connection is lost. Whatever the answers are: a
 * consumer that stays is found by those who look after dead ones. What is given is borrowed. Errors: -ENOMEM. */
int release_new(const struct queue_link *link, void (*done)(void *user), void *user,
                struct release **ret_release) MUST_CHECK;

/* Not before its redis is freed. Takes NULL, gives NULL. */
struct release *release_free(struct release *release);

/* Starts. Errors: -ENOTCONN, -ENOMEM; then `done` is not called. */
int release_start(struct release *release) MUST_CHECK;
