#include "context/async/code_address.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/fork_lock.h"

/* What has been found out, by address. Code has few places that schedule something, so that the memory this takes is
 * bounded in practice; beyond the last row nothing more is kept. */
enum { PLACES_KEPT = 4096, PLACES_ROWS = 256 };

struct known_place {
    struct known_place *next;
    const void *address;
    char words[];
};

static struct {
    pthread_mutex_t lock;
    int (*resolve)(const void *address, char *buffer);
    struct known_place *rows[PLACES_ROWS];
    unsigned count;
} places = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(places.lock, FORK_LOCK_INNER);

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The place is where a call returns to; the call itself ends one byte before. */
static void ask_linker(const void *address, char *buffer)
{
    Dl_info info;

    if (!dladdr((const char *)address - 1, &info) || !info.dli_fname)
        (void)snprintf(buffer, PLACE_SIZE, "%p", address);
    else if (info.dli_sname)
        (void)snprintf(buffer, PLACE_SIZE, "%s", info.dli_sname);
    else
        (void)snprintf(buffer, PLACE_SIZE, "%s+0x%zx", file_name(info.dli_fname),
                       (size_t)((const char *)address - (const char *)info.dli_fbase));
}

static struct known_place **row_of(const void *address)
{
    return &places.rows[((uintptr_t)address >> 2) % PLACES_ROWS];
}

static void keep(const void *address, const char *words)
{
    size_t size = strlen(words) + 1;

    if (places.count >= PLACES_KEPT)
        return;
    struct known_place *place = malloc(sizeof(*place) + size);
    if (!place)
        return;
    place->address = address;
    memcpy(place->words, words, size);
    struct known_place **row = row_of(address);
    place->next = *row;
    *row = place;
    places.count++;
}

void place_describe(const void *address, char *buffer)
{
    if (!address) {
        (void)snprintf(buffer, PLACE_SIZE, "an unknown place");
        return;
    }
    (void)pthread_mutex_lock(&places.lock);
    const struct known_place *known = *row_of(address);
    while (known && known->address != address)
        known = known->next;
    if (known) {
        (void)snprintf(buffer, PLACE_SIZE, "%s", known->words);
    } else {
        if (!places.resolve || places.resolve(address, buffer) < 0)
            ask_linker(address, buffer);
        keep(address, buffer);
    }
    (void)pthread_mutex_unlock(&places.lock);
}

/* What was known is forgotten: the new one may know better, and a plugin may have been replaced. */
void place_resolve_with(int (*resolve)(const void *address, char *buffer))
{
    (void)pthread_mutex_lock(&places.lock);
    places.resolve = resolve;
    for (size_t i = 0; i < PLACES_ROWS; i++)
        while (places.rows[i]) {
            struct known_place *place = places.rows[i];

            places.rows[i] = place->next;
            free(place);
        }
    places.count = 0;
    (void)pthread_mutex_unlock(&places.lock);
}
