/*
 * The receiver of deliveries: what becomes of what arrives. A job is handed over to be run, or settled at once because
 * it is not due, is to be cancelled, or comes when nothing is run any more; a message that is none becomes a dead
 * letter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "queue/consumer/cancel.h"
#include "queue/consumer/client.h"
#include "queue/consumer/delivery.h"
#include "queue/settle/settle.h"

/* All but the last two is borrowed. */
struct delivery_receiver {
    const struct queue_options *options;
    const struct queue_events *events;
    void *user; /* of `events` */
    struct settle *settle;
    const struct cancel *cancel;
    bool closed;        /* nothing is run any more */
    size_t handed_over; /* jobs; the owner takes them off as they are settled */
};

/* For a struct delivery_receiver as their `user`. */
extern const struct delivery_events delivery_receiver_events;
