/*
 * The module map: which file each range of a process's code came from, so that addresses can be told by others when the
 * process is gone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MODULES_MAX           64
#define MODULE_PATH_SIZE      256
#define MODULE_BUILD_ID_BYTES 20

struct module {
    uintptr_t begin, end;
    uintptr_t bias;         /* what was added to the addresses in the file */
    uint32_t build_id_size; /* 0: none is known */
    uint8_t build_id[MODULE_BUILD_ID_BYTES];
    char path[MODULE_PATH_SIZE]; /* of one that is too long, the end */
};

struct module_map {
    uint32_t count;
    struct module modules[MODULES_MAX]; /* the first is the program itself */
};

/* Writes down what this process has loaded now, as far as there is room. */
void module_map_note(struct module_map *map);

/* Makes a map that others wrote harmless to read: bounds the count and ends the strings. */
void module_map_bound(struct module_map *map);

/* The module that the address is in, or NULL. */
const struct module *module_map_find(const struct module_map *map, uintptr_t address);

/* The last part of its path. */
const char *module_name(const struct module *module);
