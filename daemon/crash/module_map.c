#include "daemon/crash/module_map.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

static size_t round_up(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static void set_build_id(struct module *module, const char *notes, size_t size)
{
    ElfW(Nhdr) note;

    for (size_t at = 0; at + sizeof(note) <= size;
         at += sizeof(note) + round_up(note.n_namesz) + round_up(note.n_descsz)) {
        memcpy(&note, notes + at, sizeof(note));
        const char *name = notes + at + sizeof(note);
        const char *content = name + round_up(note.n_namesz);

        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof("GNU") || memcmp(name, "GNU", sizeof("GNU")) != 0)
            continue;
        if (note.n_descsz > sizeof(module->build_id))
            return;
        memcpy(module->build_id, content, note.n_descsz);
        module->build_id_size = note.n_descsz;
        return;
    }
}

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct module_map *map = arg;

    (void)size;
    if (map->count == MODULES_MAX)
        return 1;

    struct module *module = &map->modules[map->count];
    *module = (struct module){.bias = info->dlpi_addr};
    if (map->count == 0) {
        /* The program itself has no name for the dynamic linker. */
        ssize_t read = readlink("/proc/self/exe", module->path, sizeof(module->path) - 1);

        module->path[read < 0 ? 0 : read] = '\0';
    } else {
        size_t length = strlen(info->dlpi_name), room = sizeof(module->path) - 1;

        (void)stpncpy(module->path, info->dlpi_name + (length > room ? length - room : 0), room);
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = module->bias + segment->p_vaddr, end = begin + segment->p_memsz;

        if (segment->p_type == PT_NOTE)
            set_build_id(module, (const char *)begin, segment->p_memsz);
        if (segment->p_type != PT_LOAD)
            continue;
        if (module->begin == 0 || begin < module->begin)
            module->begin = begin;
        if (end > module->end)
            module->end = end;
    }
    map->count++;
    return 0;
}

void module_map_note(struct module_map *map)
{
    map->count = 0;
    (void)dl_iterate_phdr(note_module, map);
}

void module_map_bound(struct module_map *map)
{
    if (map->count > MODULES_MAX)
        map->count = 0;
    for (size_t i = 0; i < map->count; i++) {
        struct module *module = &map->modules[i];

        module->path[sizeof(module->path) - 1] = '\0';
        if (module->build_id_size > sizeof(module->build_id))
            module->build_id_size = 0;
    }
}

const struct module *module_map_find(const struct module_map *map, uintptr_t address)
{
    for (size_t i = 0; i < map->count; i++)
        if (address >= map->modules[i].begin && address < map->modules[i].end)
            return &map->modules[i];
    return NULL;
}

const char *module_name(const struct module *module)
{
    const char *slash = strrchr(module->path, '/');

    return slash ? slash + 1 : module->path;
}
