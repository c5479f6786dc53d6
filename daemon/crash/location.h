/*
 * Locations: what an address in code is called, for people.
 */
#pragma once

#include <stdint.h>

#include <weft/api.h>

#include "daemon/crash/module_map.h"
#include "daemon/crash/symbols.h"

#define LOCATION_SIZE 256

struct location {
    const struct module *module; /* NULL: the address is nobody's */
    const char *function;        /* borrowed from the symbols; NULL: not known */
    char words[LOCATION_SIZE];   /* "load_profile (profile.c:42)", "abort (libc.so.6)", "profile.so+0x1a2b", "0x10" */
};

/* Names an address of the map; `symbols` NULL: modules and offsets. */
struct location location_find(const struct module_map *map, struct symbols *symbols, uintptr_t address);

/* From now on the places of this process (context/async/code_address.h) are named by the files that its code came from,
 * which takes some milliseconds for the first of each file. `map` must stay. Errors: -ENOMEM, -EOPNOTSUPP built without
 * libdw; then places are named as before. */
int location_name_places(const struct module_map *map) WEFT_MUST_CHECK;

/* Takes that back. Harmless where it was not done. */
void location_name_places_no_more(void);
