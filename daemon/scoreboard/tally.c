#include "daemon/scoreboard/tally.h"

#include <string.h>

static size_t types_of(const struct config *config)
{
    return config->job_count + 1;
}

size_t tally_size(const struct config *config)
{
    return config->queue_count * (sizeof(struct tally_queue) + types_of(config) * sizeof(struct tally_cell));
}

void tally_init(struct tally *tally, void *memory, const struct config *config)
{
    struct tally_queue *queues = memory;

    *tally = (struct tally){.config = config, .queues = queues, .cells = (void *)(queues + config->queue_count)};
}

size_t tally_find_queue(const struct tally *tally, const char *queue)
{
    size_t number = 0;

    while (number + 1 < tally->config->queue_count && strcmp(tally->config->queues[number].name, queue) != 0)
        number++;
    return number;
}

size_t tally_find_type(const struct tally *tally, const char *type)
{
    size_t number = 0;

    while (number < tally->config->job_count && (!type || strcmp(tally->config->jobs[number].type, type) != 0))
        number++;
    return number;
}

struct tally_cell *tally_cell(const struct tally *tally, size_t queue, size_t type)
{
    return &tally->cells[queue * types_of(tally->config) + type];
}
