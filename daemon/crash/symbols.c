#include "daemon/crash/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

struct symbols {
    const struct module_map *map;
    Dwfl *dwfl;
    bool tried[MODULES_MAX];
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
};

int symbols_new(const struct module_map *map, struct symbols **ret_symbols)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));

    if (!symbols)
        return -ENOMEM;
    /* Nobody is to wait for a server of debug information. */
    (void)unsetenv("DEBUGINFOD_URLS");
    symbols->map = map;
    symbols->dwfl = dwfl_begin(&callbacks);
    if (!symbols->dwfl) {
        free(symbols);
        return -ENOMEM;
    }
    *ret_symbols = symbols;
    return 0;
}

/* A plugin may have been built anew since it was loaded. */
static bool is_same_build(const struct module *module, Dwfl_Module *found)
{
    const unsigned char *build_id;
    GElf_Addr where;
    Dwarf_Addr bias;

    if (module->build_id_size == 0)
        return true;
    (void)dwfl_module_getelf(found, &bias);
    return dwfl_module_build_id(found, &build_id, &where) == (int)module->build_id_size &&
           memcmp(build_id, module->build_id, module->build_id_size) == 0;
}

/* Files are opened when the first of their addresses is asked for. */
static void report_module(struct symbols *symbols, const struct module *module)
{
    size_t place = (size_t)(module - symbols->map->modules);

    if (symbols->tried[place])
        return;
    symbols->tried[place] = true;

    /* Opens nothing but files: the path may name a device, or a pipe without a writer. */
    struct stat status;
    int fd = open(module->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        (void)close(fd);
        return;
    }
    dwfl_report_begin_add(symbols->dwfl);
    if (!dwfl_report_elf(symbols->dwfl, module->path, module->path, fd, module->bias, true))
        (void)close(fd);
    (void)dwfl_report_end(symbols->dwfl, NULL, NULL);
}

/* The unit of compilation that the address is in. There is a table for that which not every compiler writes; where it
 * has nothing, each unit is asked. */
static Dwarf_Die *find_unit(Dwfl_Module *module, uintptr_t address, Dwarf_Addr *ret_bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, address, ret_bias);

    if (unit)
        return unit;
    while ((unit = dwfl_module_nextcu(module, unit, ret_bias)))
        if (dwarf_haspc(unit, address - *ret_bias) > 0)
            return unit;
    return NULL;
}

int symbols_find(struct symbols *symbols, uintptr_t address, struct symbol *ret_symbol)
{
    const struct module *module = module_map_find(symbols->map, address);
    GElf_Off offset;
    GElf_Sym ignored;

    if (!module)
        return -ENOENT;
    report_module(symbols, module);
    Dwfl_Module *found = dwfl_addrmodule(symbols->dwfl, address);
    if (!found || !is_same_build(module, found))
        return -ENOENT;
    const char *function = dwfl_module_addrinfo(found, address, &offset, &ignored, NULL, NULL, NULL);
    if (!function)
        return -ENOENT;
    *ret_symbol = (struct symbol){.function = function};
    Dwarf_Addr bias;
    Dwarf_Die *unit = find_unit(found, address, &bias);
    Dwarf_Line *line = unit ? dwarf_getsrc_die(unit, address - bias) : NULL;
    if (line && dwarf_lineno(line, &ret_symbol->line) == 0)
        ret_symbol->file = dwarf_linesrc(line, NULL, NULL);
    return 0;
}

struct symbols *symbols_free(struct symbols *symbols)
{
    if (symbols)
        dwfl_end(symbols->dwfl);
    free(symbols);
    return NULL;
}
