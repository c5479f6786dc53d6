/*
 * Symbols: names and lines for the addresses of a process that is gone, from the files that its code came from.
 */
#pragma once

#include <stdint.h>

#include <weft/api.h>

#include "daemon/crash/module_map.h"

struct symbols;

/* What an address is part of. Borrowed from the symbols. */
struct symbol {
    const char *function;
    const char *file; /* NULL: there is no debug information */
    int line;
};

/* `map` must outlive them. Errors: -ENOMEM, -EOPNOTSUPP built without libdw. */
int symbols_new(const struct module_map *map, struct symbols **ret_symbols) WEFT_MUST_CHECK;

/* Errors: -ENOENT nothing is known of the address: its module is not there any more, or is another one now, or has no
 * symbol there. */
int symbols_find(struct symbols *symbols, uintptr_t address, struct symbol *ret_symbol) WEFT_MUST_CHECK;

/* Takes NULL, gives NULL. */
struct symbols *symbols_free(struct symbols *symbols);
