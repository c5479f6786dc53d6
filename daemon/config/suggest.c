#include "daemon/config/suggest.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KEY_SIZE_MAX 128

static bool are_same(char one, char other)
{
    return tolower((unsigned char)one) == tolower((unsigned char)other);
}

/* How many characters have to be added, removed, replaced or swapped with their neighbour to make `from` into `to`.
 * rows[i % 3][j] is the distance between the first i characters of `from` and the first j of `to`. */
static unsigned measure_distance(const char *from, size_t from_size, const char *to, size_t to_size)
{
    unsigned rows[3][KEY_SIZE_MAX + 1];

    assert(from_size <= KEY_SIZE_MAX && to_size <= KEY_SIZE_MAX);
    for (size_t j = 0; j <= to_size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= from_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= to_size; j++) {
            row[j] = above[j - 1] + !are_same(from[i - 1], to[j - 1]);
            if (above[j] + 1 < row[j])
                row[j] = above[j] + 1;
            if (row[j - 1] + 1 < row[j])
                row[j] = row[j - 1] + 1;
            if (i > 1 && j > 1 && are_same(from[i - 1], to[j - 2]) && are_same(from[i - 2], to[j - 1]) &&
                rows[(i - 2) % 3][j - 2] + 1 < row[j])
                row[j] = rows[(i - 2) % 3][j - 2] + 1;
        }
    }
    return rows[from_size % 3][to_size];
}

/* One mistake in three characters is a slip of the fingers; more of them make it another word. */
static bool is_slip(unsigned distance, size_t size, size_t other_size)
{
    return distance * 3 <= (size > other_size ? size : other_size);
}

const char *config_suggest_key(const struct config_section *section, const char *name)
{
    size_t name_size = strlen(name);
    const char *nearest = NULL;
    unsigned least = UINT32_MAX;

    if (name_size > KEY_SIZE_MAX)
        return NULL;
    for (const struct config_key *key = section->keys; key->name; key++) {
        size_t key_size = strlen(key->name);
        unsigned distance = measure_distance(name, name_size, key->name, key_size);

        if (key->shape != CONFIG_UNSUPPORTED && is_slip(distance, name_size, key_size) && distance < least) {
            least = distance;
            nearest = key->name;
        }
    }
    return nearest;
}

const char *config_suggest_queue(const struct config *config, const char *key, size_t size)
{
    size_t prefix_size = strlen(config->redis.prefix);
    char name[KEY_SIZE_MAX + 1];
    size_t name_size = 0;
    const char *nearest = NULL;
    unsigned least = UINT32_MAX;

    if (size < prefix_size || memcmp(key, config->redis.prefix, prefix_size) != 0)
        return NULL;
    bool is_braced = size > prefix_size + 2 && key[prefix_size + 1] == '{' && key[size - 1] == '}';
    for (size_t i = prefix_size; i < size; i++) {
        if (key[i] == '\0' || strchr(":{}\"' ", key[i]))
            continue;
        if (name_size == KEY_SIZE_MAX)
            return NULL;
        name[name_size++] = key[i];
    }
    name[name_size] = '\0';
    for (size_t i = 0; i < config->queue_count; i++) {
        const char *queue = config->queues[i].name;
        size_t queue_size = strlen(queue);
        unsigned distance = measure_distance(name, name_size, queue, queue_size);

        if (is_braced && strlen(queue) == size - prefix_size - 3 &&
            memcmp(queue, key + prefix_size + 2, queue_size) == 0)
            return NULL;
        if (is_slip(distance, name_size, queue_size) && distance < least) {
            least = distance;
            nearest = queue;
        }
    }
    return nearest;
}
