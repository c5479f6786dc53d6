#include "queue/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/options.h"

static const char *const suffixes[QUEUE_KEY_COUNT] = {
    [QUEUE_KEY_STREAM] = "",        [QUEUE_KEY_DELAYED] = ":delayed", [QUEUE_KEY_DEAD] = ":dead",
    [QUEUE_KEY_BODIES] = ":bodies", [QUEUE_KEY_DONE] = ":done",       [QUEUE_KEY_FAILED] = ":failed",
    [QUEUE_KEY_CANCEL] = ":cancel", [QUEUE_KEY_PS] = ":ps",           [QUEUE_KEY_CONTROL] = ":control",
    [QUEUE_KEY_DUE] = ":due",       [QUEUE_KEY_WORKERS] = ":workers",
};

int queue_keys_init(struct queue_keys *keys, const char *prefix, const char *queue)
{
    memset(keys, 0, sizeof(*keys));
    keys->queue = queue;
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++) {
        int size = i < QUEUE_KEY_CONTROL ? asprintf(&keys->names[i], "%s:{%s}%s", prefix, queue, suffixes[i])
                                         : asprintf(&keys->names[i], "%s%s", prefix, suffixes[i]);

        if (size < 0) {
            keys->names[i] = NULL;
            queue_keys_done(keys);
            return -ENOMEM;
        }
        keys->sizes[i] = (size_t)size;
    }
    return 0;
}

char *queue_keys_readers(const char *prefix)
{
    char *key;

    return asprintf(&key, "%s:readers", prefix) < 0 ? NULL : key;
}

void queue_keys_done(struct queue_keys *keys)
{
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++)
        free(keys->names[i]);
    memset(keys, 0, sizeof(*keys));
}

int queue_keys_new_all(const struct queue_options *options, struct queue_keys **ret_keys)
{
    struct queue_keys *keys = calloc(options->queue_count, sizeof(*keys));

    if (!keys)
        return -ENOMEM;
    for (size_t i = 0; i < options->queue_count; i++) {
        int r = queue_keys_init(&keys[i], options->prefix, options->queues[i].name);

        if (r < 0) {
            queue_keys_free_all(keys, options->queue_count);
            return r;
        }
    }
    *ret_keys = keys;
    return 0;
}

struct queue_keys *queue_keys_free_all(struct queue_keys *keys, size_t count)
{
    for (size_t i = 0; keys && i < count; i++)
        queue_keys_done(&keys[i]);
    free(keys);
    return NULL;
}

size_t queue_keys_find(const struct queue_keys *keys, size_t count, const char *stream)
{
    size_t queue = 0;

    while (queue < count && strcmp(keys[queue].names[QUEUE_KEY_STREAM], stream) != 0)
        queue++;
    return queue;
}
