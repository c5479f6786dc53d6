#include "daemon/supervisor/generation.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <weft/log.h>

int generation_new(struct config *config, struct log_output *output, void *owner, struct generation **ret_generation)
{
    struct generation *generation = calloc(1, sizeof(*generation));

    if (!generation)
        return -ENOMEM;
    static unsigned count;
    *generation =
        (struct generation){.config = config, .output = output, .owner = owner, .number = ++count, .users = 1};
    weft_debug("generation %u is made from %s", generation->number, config->path);
    *ret_generation = generation;
    return 0;
}

int generation_connect(struct generation *generation, struct event_base *base, const struct maintenance_events *events)
{
    assert(!generation->maintenance);
    weft_debug("generation %u connects to Redis", generation->number);
    return maintenance_new(base, &generation->config->queue_options, events, generation, &generation->maintenance);
}

struct generation *generation_ref(struct generation *generation)
{
    assert(generation->users > 0);
    generation->users++;
    return generation;
}

struct generation *generation_unref(struct generation *generation)
{
    if (!generation || --generation->users > 0)
        return NULL;
    (void)maintenance_free(generation->maintenance);
    (void)web_free(generation->web);
    (void)log_output_free(generation->output);
    (void)config_free(generation->config);
    free(generation);
    return NULL;
}
