#include "queue/enlist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEPT_MIN_MS (INT64_C(10) * 60 * 1000)

/* FNV-1a of each name, added up: the order of the queues does not matter. */
static uint64_t hash_queues(const struct queue_options *options)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < options->queue_count; i++) {
        uint64_t hash = UINT64_C(14695981039346656037);

        for (const char *at = options->queues[i].name; *at; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
        sum += hash;
    }
    return sum;
}

int enlist_format(char *buffer, size_t size, const char *consumer, const struct queue_options *options)
{
    int length = snprintf(buffer, size, "%s %016" PRIx64, consumer, hash_queues(options));

    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

bool enlist_read(const char *name, char *ret_consumer, size_t size)
{
    const char *space = strrchr(name, ' ');
    size_t length = space ? (size_t)(space - name) : 0;

    if (length == 0 || length >= size)
        return false;
    memcpy(ret_consumer, name, length);
    ret_consumer[length] = '\0';
    return true;
}

bool enlist_has_queues(const char *name, const struct queue_options *options)
{
    const char *space = strrchr(name, ' ');
    char queues[17];

    (void)snprintf(queues, sizeof(queues), "%016" PRIx64, hash_queues(options));
    return space && strcmp(space + 1, queues) == 0;
}

int64_t enlist_kept_ms(const struct queue_options *options)
{
    int64_t kept_ms = 4 * options->lease_ms;

    return kept_ms > KEPT_MIN_MS ? kept_ms : KEPT_MIN_MS;
}
