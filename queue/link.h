/*
 * What the parts of a worker's and of the supervisor's side work with: one connection to Redis, and who we are there.
 */
#pragma once

#include "queue/keys.h"
#include "queue/options.h"

struct event_base;
struct health;
struct connection;

/* All of it is borrowed, and must outlive whoever was given the link; but `connection` is freed before them, so that it
 * does not answer requests that are gone. The struct itself is copied. */
struct queue_link {
    struct event_base *base;
    struct connection *connection;
    const struct queue_options *options;
    const struct queue_keys *keys; /* of each queue of the options, in their order */
    const char *consumer;          /* what we are called in each queue's group */
    struct health *health;         /* hears of what is wrong */
};
