#include "daemon/config/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/cleanup.h"
#include "daemon/config/redis_url.h"

#define SOCKET_NAME "redis.sock"

/* ---- redis ---- */

static int set_embedded_socket(struct config_reader *reader, const yaml_node_t *map)
{
    struct config *config = reader->config;
    const yaml_node_t *dir = config_map_find(reader, map, "dir", NULL);
    struct config_mark mark = dir ? config_node_mark(dir) : config->redis.url_mark;
    size_t size;

    if (!config->redis.dir)
        return config_reader_fail(reader, mark,
                                  "the embedded Redis needs \"redis.dir\", the folder of its data, because neither "
                                  "$XDG_STATE_HOME nor $HOME says where that would be");
    size = strlen(config->redis.dir) + strlen("/" SOCKET_NAME);
    if (size > CONFIG_SOCKET_PATH_MAX)
        return config_reader_fail(reader, mark,
                                  "\"redis.dir\" must be shorter: the path of the socket in it, " SOCKET_NAME
                                  ", must be at most %d bytes long, not %zu",
                                  CONFIG_SOCKET_PATH_MAX, size);
    if (asprintf(&config->redis.socket_path, "%s/" SOCKET_NAME, config->redis.dir) < 0) {
        config->redis.socket_path = NULL;
        return -ENOMEM;
    }
    return 0;
}

int config_redis_finish(struct config_reader *reader, const yaml_node_t *map, void *base)
{
    const yaml_node_t *password_file = NULL;

    (void)base;
    if (reader->config->redis.kind != CONFIG_REDIS_EMBEDDED)
        return 0;
    if (config_map_find(reader, map, "password_file", &password_file))
        return config_reader_fail(reader, config_node_mark(password_file),
                                  "the embedded Redis has no password; leave out \"redis.password_file\"");
    return set_embedded_socket(reader, map);
}

/* ---- defaults, jobs ---- */

int config_backoff_finish(struct config_reader *reader, const yaml_node_t *map, void *base)
{
    const struct config_backoff *backoff = base;
    const yaml_node_t *longest = config_map_find(reader, map, "max", NULL);
    const yaml_node_t *first = config_map_find(reader, map, "base", NULL);

    if (backoff->base_ms <= backoff->max_ms)
        return 0;
    if (longest)
        return config_reader_fail(reader, config_node_mark(longest),
                                  "\"%s.max\" must not be shorter than \"base\", which is %" PRId64 "ms",
                                  reader->key_path, backoff->base_ms);
    return config_reader_fail(reader, config_node_mark(first),
                              "\"%s.base\" must not be longer than \"max\", which is %" PRId64 "ms", reader->key_path,
                              backoff->max_ms);
}

int config_job_begin(struct config_reader *reader, const char *name, struct config_mark mark, void *item)
{
    const struct config *config = reader->config;
    struct config_job *job = item;

    job->type = strdup(name);
    if (!job->type)
        return -ENOMEM;
    job->mark = mark;
    job->attempts = config->defaults.attempts;
    job->timeout_ms = config->defaults.timeout_ms;
    job->backoff = config->defaults.backoff;
    return 0;
}

/* ---- The whole ---- */

static void set_queue_options(struct config *config)
{
    config->queue_options = (struct queue_options){
        .socket_path = config->redis.socket_path,
        .host = config->redis.host,
        .port = config->redis.port,
        .database = config->redis.database,
        .username = config->redis.username,
        .password = config->redis.password,
        .prefix = config->redis.prefix,
        .node = config->node,
        .queues = config->queues,
        .queue_count = config->queue_count,
        .exclusive = config->redis.kind == CONFIG_REDIS_EMBEDDED,
        .lease_ms = config->lease_ms,
        .keep_done_ms = config->keep.done_ms,
        .keep_done_max = config->keep.done_max,
        .keep_failed_ms = config->keep.failed_ms,
        .keep_dead = config->keep.dead,
        .payload_max = config->limits.payload,
        .held_max = config->held,
    };
}

/* Reserved places must leave one for the others, and be of use to their queue. */
static int check_reserves(struct config_reader *reader, const yaml_node_t *map)
{
    const struct config *config = reader->config;
    uint64_t reserved = 0;

    for (size_t i = 0; i < config->queue_count; i++) {
        const struct queue_spec *queue = &config->queues[i];
        const yaml_node_t *value = NULL;

        if (queue->reserve > 0) {
            const yaml_node_t *list = config_map_find(reader, map, "queues", NULL);
            int node = list->data.sequence.items.start[i];

            value = config_map_find(reader, yaml_document_get_node(reader->document, node), "reserve", NULL);
        }

        reserved += queue->reserve;
        if (value && queue->concurrency > 0 && queue->reserve > queue->concurrency)
            return config_reader_fail(reader, config_node_mark(value),
                                      "\"queues.reserve\" must not be more than the queue's \"concurrency\", which is "
                                      "%u: it takes no more jobs than that",
                                      queue->concurrency);
        if (value && reserved >= config->concurrency)
            return config_reader_fail(reader, config_node_mark(value),
                                      "the places in \"queues.reserve\" must be fewer than \"concurrency\", which is "
                                      "%u, and with these they are %" PRIu64 ": raise \"concurrency\", or reserve less",
                                      config->concurrency, reserved);
    }
    return 0;
}

int config_root_finish(struct config_reader *reader, const yaml_node_t *map, void *base)
{
    struct config *config = base;

    if (config->queue_count == 0) {
        char *name = strdup("default");

        config->queues = calloc(1, sizeof(*config->queues));
        if (!name || !config->queues) {
            free(name);
            return -ENOMEM;
        }
        config->queues[0] = (struct queue_spec){.name = name, .weight = 1};
        config->queue_count = 1;
    }
    int r = check_reserves(reader, map);
    if (r == 0)
        set_queue_options(config);
    return r;
}
