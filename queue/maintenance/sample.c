#include "queue/maintenance/sample.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/redis/call.h"

enum { FIGURES = 5 };

struct sampler {
    struct call call;
    struct queue_link link;
    sampled_fn *sampled;
    void *user;
    struct command command;
    int64_t sent_us;
    size_t next;  /* the queue at which the next one begins */
    size_t first; /* of those that were asked for, */
    size_t count; /* and how many */
    struct queue_sample samples[];
};

static int64_t read_figure(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
}

static void read_samples(struct sampler *sampler, const redisReply *reply)
{
    for (size_t i = 0; i < sampler->count; i++) {
        redisReply *const *figures = reply->element + FIGURES * i;

        sampler->samples[(sampler->first + i) % sampler->link.options->queue_count] = (struct queue_sample){
            .entries = read_figure(figures[0]),
            .held = read_figure(figures[1]),
            .delayed = read_figure(figures[2]),
            .dead = read_figure(figures[3]),
            .age_ms = read_figure(figures[4]),
        };
    }
}

/* Whatever is wrong, others notice it too, and say so. */
static void on_sampled(struct call *call, const redisReply *reply)
{
    struct sampler *sampler = container_of(call, struct sampler, call);

    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != FIGURES * sampler->count)
        return;
    read_samples(sampler, reply);
    sampler->sampled(sampler->samples, time_steady_us() - sampler->sent_us, sampler->user);
}

static int write_call(struct call *call)
{
    struct sampler *sampler = container_of(call, struct sampler, call);
    struct command *command = call_start(call, sampler->count * QUEUE_KEY_COUNT);

    for (size_t i = 0; i < sampler->count; i++)
        command_add_queue(command, &sampler->link.keys[(sampler->first + i) % sampler->link.options->queue_count]);
    command_add_number(command, QUEUE_KEY_COUNT);
    sampler->sent_us = time_steady_us();
    return 0;
}

static const struct call_kind sample_call = {.script = &queue_script_sample, .write = write_call, .done = on_sampled};

void sampler_ask(struct sampler *sampler, size_t queues)
{
    if (sampler->call.under_way)
        return;
    sampler->first = sampler->next;
    sampler->count = queues < sampler->link.options->queue_count ? queues : sampler->link.options->queue_count;
    if (call_send(&sampler->call, &sample_call, sampler->link.connection, &sampler->command) == 0)
        sampler->next = (sampler->first + sampler->count) % sampler->link.options->queue_count;
}

int sampler_new(const struct queue_link *link, sampled_fn *sampled, void *user, struct sampler **ret_sampler)
{
    const size_t queue_count = link->options->queue_count;
    struct sampler *sampler = calloc(1, sizeof(*sampler) + queue_count * sizeof(sampler->samples[0]));

    if (!sampler)
        return -ENOMEM;
    sampler->link = *link;
    sampler->sampled = sampled;
    sampler->user = user;
    for (size_t i = 0; i < queue_count; i++)
        sampler->samples[i] = (struct queue_sample){-1, -1, -1, -1, -1};
    *ret_sampler = sampler;
    return 0;
}

struct sampler *sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return NULL;
    command_done(&sampler->command);
    free(sampler);
    return NULL;
}
