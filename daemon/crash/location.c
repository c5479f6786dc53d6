#include "daemon/crash/location.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "context/async/code_address.h"

struct location location_find(const struct module_map *map, struct symbols *symbols, uintptr_t address)
{
    struct location location = {.module = module_map_find(map, address)};
    struct symbol symbol;

    if (location.module && symbols && symbols_find(symbols, address, &symbol) == 0 && symbol.function[0]) {
        /* Compilers cut functions into parts (load.part.0, load.cold), and linkers add versions (abort@@GLIBC_2.2.5):
         * names that nobody has written. */
        size_t written = strcspn(symbol.function + 1, ".@") + 1;
        int size = written < LOCATION_SIZE ? (int)written : LOCATION_SIZE;
        const char *slash = symbol.file ? strrchr(symbol.file, '/') : NULL;

        location.function = symbol.function;
        if (symbol.file)
            (void)snprintf(location.words, sizeof(location.words), "%.*s (%s:%d)", size, symbol.function,
                           slash ? slash + 1 : symbol.file, symbol.line);
        else
            (void)snprintf(location.words, sizeof(location.words), "%.*s (%s)", size, symbol.function,
                           module_name(location.module));
    } else if (location.module)
        (void)snprintf(location.words, sizeof(location.words), "%s+0x%llx", module_name(location.module),
                       (unsigned long long)(address - location.module->bias));
    else
        (void)snprintf(location.words, sizeof(location.words), "0x%llx", (unsigned long long)address);
    return location;
}

/* ---- The places of this process ---- */

/* A resolver gets no argument of ours. Only one thread at a time is in it. */
static struct {
    const struct module_map *map;
    struct symbols *symbols;
} places;

/* The place is where a call returns to, which may be another line or another function. */
static int name_place(const void *address, char *buffer)
{
    struct location location = location_find(places.map, places.symbols, (uintptr_t)address - 1);

    if (!location.function)
        return -ENOENT;
    (void)snprintf(buffer, CODE_ADDRESS_SIZE, "%.*s", CODE_ADDRESS_SIZE - 1, location.words);
    return 0;
}

int location_name_places(const struct module_map *map)
{
    struct symbols *symbols;
    int r = symbols_new(map, &symbols);

    if (r < 0)
        return r;
    places.map = map;
    places.symbols = symbols;
    code_address_resolve_with(name_place);
    return 0;
}

void location_name_places_no_more(void)
{
    code_address_resolve_with(NULL);
    places.symbols = symbols_free(places.symbols);
}
