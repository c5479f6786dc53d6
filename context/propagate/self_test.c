#include "context/propagate/self_test.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "context/macros.h"
#include "context/propagate/propagate.h"
#include "context/propagate/wrapped_event.h"

/* Functions that schedule or release, and that code which uses libevent or hiredis can hardly do without. */
static const char *const functions[] = {
    "event_add",
    "event_free",
    "event_del",
    "event_active",
    "event_base_once",
    "event_base_loop",
    "bufferevent_setcb",
    "redisAsyncCommand",
    "redisvAsyncCommand",
    "redisAsyncCommandArgv",
    "redisAsyncFormattedCommand",
    "redisAsyncHandleRead",
};

WEFT_PRINTF(2, 3) static int refuse(char **ret_message, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (vasprintf(ret_message, format, args) < 0)
        *ret_message = NULL;
    va_end(args);
    return *ret_message ? -ENOTSUP : -ENOMEM;
}

static const void *object_of(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

static const char *path_of(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) && info.dli_fname && *info.dli_fname ? info.dli_fname : "an unknown file";
}

/* Of weft's wrappers. */
static const void *own_object(void)
{
    return object_of((const void *)(uintptr_t)self_test_libraries);
}

/* ---- What is looked up by name ---- */

/* As a library that is loaded now would find it. */
static int check_lookup(const char *name, char **ret_message)
{
    const void *found = dlsym(RTLD_DEFAULT, name);

    if (!propagate_has(name)) {
        /* hiredis need not be there. */
        return strncmp(name, "redis", strlen("redis")) == 0
                   ? 0
                   : refuse(ret_message,
                            "%s() is in no shared library: libevent is linked statically into this program, where weft "
                            "cannot come before it; link it with the shared libevent",
                            name);
    }
    if (!found || object_of(found) != own_object())
        return refuse(
            ret_message,
            "%s() of other code is that of %s, not weft's: the program has to export its symbols (-rdynamic), "
            "and nothing may come before it",
            name, found ? path_of(found) : "no file");
    return 0;
}

/* ---- How a shared object is bound ---- */

/* What of its dynamic section is needed. */
struct dynamic {
    const ElfW(Sym) * symbols;
    const char *names;
    const ElfW(Rela) * relocations[2]; /* of functions that are called, and of all else */
    size_t sizes[2];
};

struct object {
    const struct dl_phdr_info *info;
    struct dynamic dynamic;
    bool is_bound_to_weft; /* by any of the functions */
};

/* The C library writes addresses into it on most machines, and leaves offsets on some. */
static const void *pointer_in(const struct dl_phdr_info *info, ElfW(Addr) value)
{
    return (const void *)(value < info->dlpi_addr ? value + info->dlpi_addr : value);
}

static bool read_dynamic(struct object *object)
{
    const struct dl_phdr_info *info = object->info;
    const ElfW(Dyn) *entry = NULL;
    struct dynamic *dynamic = &object->dynamic;
    bool has_addends = true;

    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; entry && entry->d_tag != DT_NULL; entry++)
        switch (entry->d_tag) {
        case DT_SYMTAB:
            dynamic->symbols = pointer_in(info, entry->d_un.d_ptr);
            break;
        case DT_STRTAB:
            dynamic->names = pointer_in(info, entry->d_un.d_ptr);
            break;
        case DT_JMPREL:
            dynamic->relocations[0] = pointer_in(info, entry->d_un.d_ptr);
            break;
        case DT_PLTRELSZ:
            dynamic->sizes[0] = entry->d_un.d_val;
            break;
        case DT_PLTREL:
            has_addends = entry->d_un.d_val == DT_RELA;
            break;
        case DT_RELA:
            dynamic->relocations[1] = pointer_in(info, entry->d_un.d_ptr);
            break;
        case DT_RELASZ:
            dynamic->sizes[1] = entry->d_un.d_val;
            break;
        default:
            break;
        }
    return dynamic->symbols && dynamic->names && has_addends;
}

static const char *function_called(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(functions); i++)
        if (strcmp(functions[i], name) == 0)
            return functions[i];
    return NULL;
}

static int check_relocation(struct object *object, const ElfW(Rela) * relocation, char **ret_message)
{
    /* The number of the symbol is in the upper half, on machines of 64 bits. */
    const ElfW(Sym) *symbol =
        &object->dynamic
             .symbols[sizeof(void *) == 8 ? (uint64_t)relocation->r_info >> 32 : (uint64_t)relocation->r_info >> 8];
    const char *name = symbol->st_name ? function_called(object->dynamic.names + symbol->st_name) : NULL;

    if (!name)
        return 0;
    const void *bound = *(void *const *)(object->info->dlpi_addr + relocation->r_offset);
    const void *target = bound ? object_of(bound) : NULL;
    if (target == own_object())
        object->is_bound_to_weft = true;
    /* What is called for the first time later on is looked up then. */
    if (!target || target == own_object() ||
        (symbol->st_shndx == SHN_UNDEF && target == (void *)object->info->dlpi_addr))
        return 0;
    if (target == (void *)object->info->dlpi_addr)
        return refuse(
            ret_message,
            "%s calls a function %s() of its own: libevent or hiredis is linked into it statically, and what it "
            "schedules would lose its context; link it with the shared library",
            object->info->dlpi_name, name);
    return refuse(ret_message,
                  "%s calls the %s() of %s, past weft's, as after dlopen() with RTLD_DEEPBIND: what it schedules would "
                  "lose its context",
                  object->info->dlpi_name, name, path_of(bound));
}

static bool defines(const struct object *object, const char *name)
{
    void *library = dlopen(object->info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    const void *found = library ? dlsym(library, name) : NULL;

    if (library)
        propagate_close(library);
    return found && object_of(found) == (void *)object->info->dlpi_addr;
}

/* libevent and hiredis themselves call each other's, and their own, as they like. */
static bool is_one_of_them(const struct object *object)
{
    for (size_t i = 0; i < ELEMENTS(functions); i++)
        if (propagate_has(functions[i]) && object_of(propagate_real(functions[i])) == (void *)object->info->dlpi_addr)
            return true;
    return object->dynamic.symbols && propagate_exempts(object->dynamic.symbols);
}

struct checking {
    char *message;
    int result;
};

static int check_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct object object = {.info = info};
    struct checking *checking = arg;
    int r = 0;

    (void)size;
    if (!info->dlpi_name || !*info->dlpi_name || (void *)info->dlpi_addr == own_object() || !read_dynamic(&object) ||
        is_one_of_them(&object))
        return 0;
    for (int kind = 0; kind < 2 && r == 0; kind++)
        for (size_t i = 0; i < object.dynamic.sizes[kind] / sizeof(ElfW(Rela)) && r == 0; i++)
            r = check_relocation(&object, &object.dynamic.relocations[kind][i], &checking->message);
    if (r == 0 && !object.is_bound_to_weft && defines(&object, "event_add"))
        r = refuse(
            &checking->message,
            "%s has an event_add() of its own: libevent is linked into it statically, and what it schedules would "
            "lose its context; link it with the shared library",
            info->dlpi_name);
    checking->result = r;
    return r;
}

/* ---- What happens ---- */

/* An event of code that is nobody's infrastructure: its callback would be one of libc's. It is never called. */
static int schedule(void *arg)
{
    static const struct timeval never = {.tv_sec = 1000};
    char **ret_message = arg;
    int (*add)(struct event *, const struct timeval *) =
        (int (*)(struct event *, const struct timeval *))(uintptr_t)dlsym(RTLD_DEFAULT, "event_add");
    void (*release)(struct event *) = (void (*)(struct event *))(uintptr_t)dlsym(RTLD_DEFAULT, "event_free");
    event_callback_fn callback = (event_callback_fn)(uintptr_t)dlsym(RTLD_NEXT, "qsort");
    struct event_base *base = event_base_new();
    struct event *event = base ? evtimer_new(base, callback, NULL) : NULL;
    long before = weft_contexts_alive();
    int r = -ENOMEM;

    if (event && weft_set("weft-self-test", "1") == 0 && add(event, &never) == 0) {
        bool is_followed = wrapped_event_of(event) != NULL;
        bool is_exempt = propagate_exempts((const void *)(uintptr_t)callback);

        r = is_followed ? 0
            : is_exempt
                ? refuse(ret_message, "%s is exempt from contexts, and so would be what it calls", path_of(callback))
                : refuse(ret_message, "event_add() does not follow the context: libevent is another one than weft's");
        release(event);
        if (r == 0 && weft_contexts_alive() > before + 1)
            r = refuse(ret_message, "event_free() does not come by weft: contexts would never be given back");
    } else if (event) {
        event_free(event);
    }
    if (base)
        event_base_free(base);
    return r;
}

int self_test_libraries(char **ret_message)
{
    struct checking checking = {0};

    (void)dl_iterate_phdr(check_object, &checking);
    *ret_message = checking.message;
    return checking.result;
}

int self_test_run(char **ret_message)
{
    int r = 0;

    *ret_message = NULL;
    for (size_t i = 0; i < ELEMENTS(functions) && r == 0; i++)
        r = check_lookup(functions[i], ret_message);
    if (r == 0)
        r = self_test_libraries(ret_message);
    return r < 0 ? r : weft_run(schedule, ret_message);
}
