#include "daemon/supervisor/generation.h"

#include <errno.h>
#include <stdlib.h>

int generation_new(struct config *config, struct log_output *output, void *owner, struct generation **ret_generation)
{
    struct generation *generation = calloc(1, sizeof(*generation));

    if (!generation)
        return -ENOMEM;
    *generation = (struct generation){.config = config, .output = output, .owner = owner, .users = 1};
    *ret_generation = generation;
    return 0;
}

int generation_connect(struct generation *generation, struct event_base *base, const struct maintenance_events *events)
{
    return maintenance_new(base, &generation->config->queue_options, events, generation, &generation->maintenance);
}

struct generation *generation_ref(struct generation *generation)
{
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
