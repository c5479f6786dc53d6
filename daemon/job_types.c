#include "daemon/job_types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *one, const void *other)
{
    return strcmp(((const struct job_type *)one)->name, ((const struct job_type *)other)->name);
}

const struct job_type *job_types_find(const struct job_types *types, const char *name)
{
    struct job_type key = {.name = name};

    return types->count ? bsearch(&key, types->types, types->count, sizeof(key), compare_names) : NULL;
}

static int load_plugins(const struct config *config, struct registry *registry, char **ret_message)
{
    for (size_t i = 0; i < config->plugins.count; i++) {
        const struct config_string *plugin = &config->plugins.items[i];
        char *reason;
        int r = registry_load(registry, plugin->text, &reason);

        if (r < 0) {
            if (!reason ||
                asprintf(ret_message, "%s:%u:%u: %s", config->path, plugin->mark.line, plugin->mark.column, reason) < 0)
                *ret_message = NULL;
            free(reason);
            return r;
        }
    }
    return 0;
}

static int add_type(const struct config *config, const struct registry *registry, const struct config_job *job,
                    struct job_types *types, size_t *next_handler, char **ret_message)
{
    struct job_type *type = &types->types[types->count];

    *type = (struct job_type){
        .name = job->type,
        .number = (size_t)(job - config->jobs),
        .chain = types->handlers + *next_handler,
        .chain_size = job->chain.count,
        .attempts = job->attempts,
        .timeout_ms = job->timeout_ms,
        .blocking = job->blocking,
        .backoff = {.base_ms = job->backoff.base_ms, .max_ms = job->backoff.max_ms, .jitter = job->backoff.jitter},
    };
    for (size_t i = 0; i < job->chain.count; i++) {
        const struct config_string *name = &job->chain.items[i];
        const struct weft_handler *handler = registry_find(registry, name->text);

        types->handlers[(*next_handler)++] = handler;
        if (handler)
            continue;
        if (asprintf(ret_message,
                     "%s:%u:%u: no plugin has a handler \"%s\"; correct the name, or add its plugin under \"plugins\"",
                     config->path, name->mark.line, name->mark.column, name->text) < 0)
            *ret_message = NULL;
        return -ENOENT;
    }
    types->count++;
    return 0;
}

static int resolve_all(const struct config *config, const struct registry *registry, struct job_types *types,
                       char **ret_message)
{
    size_t handlers = 0, next_handler = 0;

    for (size_t i = 0; i < config->job_count; i++)
        handlers += config->jobs[i].chain.count;
    types->types = calloc(config->job_count + 1, sizeof(*types->types));
    types->handlers = calloc(handlers + 1, sizeof(*types->handlers));
    if (!types->types || !types->handlers)
        return -ENOMEM;
    for (size_t i = 0; i < config->job_count; i++) {
        int r = add_type(config, registry, &config->jobs[i], types, &next_handler, ret_message);
        if (r < 0)
            return r;
    }
    qsort(types->types, types->count, sizeof(*types->types), compare_names);
    return 0;
}

int job_types_load(const struct config *config, struct registry *registry, struct job_types *ret_types,
                   char **ret_message)
{
    struct job_types types = {0};

    *ret_message = NULL;
    int r = load_plugins(config, registry, ret_message);
    if (r == 0)
        r = resolve_all(config, registry, &types, ret_message);
    if (r < 0) {
        job_types_done(&types);
        return r;
    }
    *ret_types = types;
    return 0;
}

void job_types_done(struct job_types *types)
{
    free(types->types);
    free(types->handlers);
    *types = (struct job_types){0};
}
