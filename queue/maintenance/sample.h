/*
 * Samples: how full the queues are, asked for with one call for several of them. Each figure is one that Redis keeps:
 * the call takes no longer for a long queue than for a short one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/link.h"
#include "queue/redis/connection.h"

/* One queue's figures; -1: not known. */
struct queue_sample {
    int64_t entries; /* of the stream: ready jobs and those in flight, on all nodes */
    int64_t held;    /* of these, by workers */
    int64_t delayed;
    int64_t dead;
    int64_t age_ms; /* how long the job that will be next has been ready; -1, too, where none is */
};

struct sampler;

/* `queue_count` samples in the order of the options, and how long Redis took to answer. */
typedef void sampled_fn(const struct queue_sample *samples, int64_t round_trip_us, void *user);

/* What is given is borrowed and must outlive it. Errors: -ENOMEM. */
int sampler_new(const struct queue_link *link, sampled_fn *sampled, void *user,
                struct sampler **ret_sampler) MUST_CHECK;

/* Not before its connection is freed. Takes NULL, gives NULL. */
struct sampler *sampler_free(struct sampler *sampler);

/* Asks for a sample of the next `queues` queues, in turn, which `sampled` is told of with what is known of the others;
 * nothing where Redis is away, or an answer is still awaited. A queue costs Redis five commands. */
void sampler_ask(struct sampler *sampler, size_t queues);
