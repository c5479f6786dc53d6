/*
 * What workers are called in the set of workers, where each gives its sign of life for all of its queues: its
 * consumer's name and, behind a space, which queues those are. Whoever serves the same queues knows that there is
 * nothing else to be given back, and takes a dead worker off the set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/consumer_name.h"
#include "queue/options.h"

#define ENLIST_NAME_SIZE (CONSUMER_NAME_SIZE + sizeof(" 0123456789abcdef"))

/* Forms the name. Errors: -ENAMETOOLONG. */
int enlist_format(char *buffer, size_t size, const char *consumer, const struct queue_options *options) MUST_CHECK;

/* Reads the consumer's name off one. Gives whether it is one. */
bool enlist_read(const char *name, char *ret_consumer, size_t size) MUST_CHECK;

/* Whether it is of a worker that has the same queues. */
bool enlist_has_queues(const char *name, const struct queue_options *options);

/* For how long Redis keeps who gives no sign of life; by then everybody has seen it. */
int64_t enlist_kept_ms(const struct queue_options *options);
