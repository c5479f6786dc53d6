#include "context/async/code_address.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/fork_lock.h"
#include "context/lock.h"

/* What has been found out, by address. Code has few places that schedule something, so that the memory this takes is
 * bounded in practice; beyond the last row nothing more is kept. */
enum { ADDRESSES_KEPT = 4096, ADDRESSES_ROWS = 256 };

struct known_address {
    struct known_address *next;
    const void *address;
    char words[];
};

static struct {
    pthread_mutex_t lock;
    int (*resolve)(const void *address, char *buffer);
    struct known_address *rows[ADDRESSES_ROWS];
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
        (void)snprintf(buffer, CODE_ADDRESS_SIZE, "%p", address);
    else if (info.dli_sname)
        (void)snprintf(buffer, CODE_ADDRESS_SIZE, "%s", info.dli_sname);
    else
        (void)snprintf(buffer, CODE_ADDRESS_SIZE, "%s+0x%zx", file_name(info.dli_fname),
                       (size_t)((const char *)address - (const char *)info.dli_fbase));
}

static struct known_address **row_of(const void *address)
{
    return &places.rows[((uintptr_t)address >> 2) % ADDRESSES_ROWS];
}

static void keep(const void *address, const char *words)
{
    size_t size = strlen(words) + 1;

    if (places.count >= ADDRESSES_KEPT)
        return;
    struct known_address *place = malloc(sizeof(*place) + size);
    if (!place)
        return;
    place->address = address;
    memcpy(place->words, words, size);
    struct known_address **row = row_of(address);
    place->next = *row;
    *row = place;
    places.count++;
}

void code_address_describe(const void *address, char *buffer)
{
    if (!address) {
        (void)snprintf(buffer, CODE_ADDRESS_SIZE, "an unknown place");
        return;
    }
    lock_take(&places.lock);
    const struct known_address *known = *row_of(address);
    while (known && known->address != address)
        known = known->next;
    if (known) {
        (void)snprintf(buffer, CODE_ADDRESS_SIZE, "%s", known->words);
    } else {
        if (!places.resolve || places.resolve(address, buffer) < 0)
            ask_linker(address, buffer);
        keep(address, buffer);
    }
    lock_give(&places.lock);
}

/* What was known is forgotten: the new one may know better, and a plugin may have been replaced. */
void code_address_resolve_with(int (*resolve)(const void *address, char *buffer))
{
    lock_take(&places.lock);
    places.resolve = resolve;
    for (size_t i = 0; i < ADDRESSES_ROWS; i++)
        while (places.rows[i]) {
            struct known_address *place = places.rows[i];

            places.rows[i] = place->next;
            free(place);
        }
    places.count = 0;
    lock_give(&places.lock);
}
