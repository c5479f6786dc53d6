/* In the place of symbols.c where there is no libdw. */
#include <errno.h>
#include <stddef.h>

#include "daemon/crash/symbols.h"

int symbols_new(const struct module_map *map, struct symbols **ret_symbols)
{
    (void)map;
    (void)ret_symbols;
    return -EOPNOTSUPP;
}

int symbols_find(struct symbols *symbols, uintptr_t address, struct symbol *ret_symbol)
{
    (void)symbols;
    (void)address;
    (void)ret_symbol;
    return -ENOENT;
}

struct symbols *symbols_free(struct symbols *symbols)
{
    (void)symbols;
    return NULL;
}
