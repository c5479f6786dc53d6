#include "context/propagate/propagate.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/fork_lock.h"
#include "context/macros.h"

/* ---- The functions behind the wrappers ---- */

struct search {
    const char *name;
    void *found;
};

/* A library that was loaded for its loader only is not in the search order of the executable. */
static int search_in(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    Dl_info own, candidate;

    (void)size;
    if (!info->dlpi_name || !*info->dlpi_name)
        return 0;
    void *library = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return 0;
    void *function = dlsym(library, search->name);
    propagate_close(library);
    if (!function || !dladdr((void *)(uintptr_t)propagate_real, &own) || !dladdr(function, &candidate) ||
        own.dli_fbase == candidate.dli_fbase)
        return 0;
    search->found = function;
    return 1;
}

static void *look_up(const char *name)
{
    struct search search = {.name = name, .found = dlsym(RTLD_NEXT, name)};

    if (!search.found)
        (void)dl_iterate_phdr(search_in, &search);
    return search.found;
}

bool propagate_has(const char *name)
{
    return look_up(name) != NULL;
}

void *propagate_real(const char *name)
{
    void *found = look_up(name);

    if (!found) {
        (void)fprintf(stderr, "weft: %s() was called, but no library that is loaded has it\n", name);
        abort();
    }
    return found;
}

/* ---- Events of weft's own ---- */

int propagate_event_add(struct event *event, const struct timeval *timeout)
{
    return REAL(event_add)(event, timeout);
}

int propagate_event_del(struct event *event)
{
    return REAL(event_del)(event);
}

/* ---- Infrastructure ---- */

/* The executable and the shared objects that callbacks have been seen of. Beyond the last, the linker is asked again
 * each time. */
enum { OBJECTS_MAX = 64 };

struct object {
    uintptr_t begin;
    uintptr_t end; /* as `begin`: it has been unloaded */
    bool is_exempt;
};

static struct {
    pthread_mutex_t lock;
    struct object objects[OBJECTS_MAX];
    unsigned count;
    unsigned last; /* where the last search ended */
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(known.lock, FORK_LOCK_INNER);

static bool is_in(const struct object *object, uintptr_t address)
{
    return address - object->begin < __atomic_load_n(&object->end, __ATOMIC_RELAXED) - object->begin;
}

struct question {
    uintptr_t address;
    struct object answer;
    char path[PATH_MAX];
};

static int answer(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct question *question = arg;
    struct object object = {.begin = UINTPTR_MAX};

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type != PT_LOAD)
            continue;
        if (begin < object.begin)
            object.begin = begin;
        if (begin + segment->p_memsz > object.end)
            object.end = begin + segment->p_memsz;
    }
    if (!is_in(&object, question->address))
        return 0;
    question->answer = object;
    (void)snprintf(question->path, sizeof(question->path), "%s", info->dlpi_name ? info->dlpi_name : "");
    return 1;
}

/* One function of each of libevent's libraries. */
static const char *const libevent_functions[] = {
    "event_base_new",
    "evhttp_new",
    "evthread_use_pthreads",
    "bufferevent_openssl_filter_new",
    "bufferevent_mbedtls_filter_new",
};

/* A library is libevent's if it is the one whose functions are called, whatever its file is called. The executable is
 * never. */
static bool is_libevent(const struct question *question)
{
    bool found = false;

    for (size_t i = 0; i < ELEMENTS(libevent_functions) && *question->path && !found; i++) {
        uintptr_t function = (uintptr_t)look_up(libevent_functions[i]);

        found = function && is_in(&question->answer, function);
    }
    return found;
}

/* Readers take no lock: an object is complete before it is counted. */
static void remember(const struct object *object)
{
    (void)pthread_mutex_lock(&known.lock);
    unsigned place = 0;
    while (place < known.count && known.objects[place].begin != object->begin)
        place++;
    if (place < known.count) {
        struct object *old = &known.objects[place];
        bool is_another = old->end != object->end;

        if (object->is_exempt || is_another)
            __atomic_store_n(&old->is_exempt, object->is_exempt, __ATOMIC_RELAXED);
        __atomic_store_n(&old->end, object->end, __ATOMIC_RELAXED);
    } else if (place < OBJECTS_MAX) {
        known.objects[place] = *object;
        __atomic_store_n(&known.count, place + 1, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&known.lock);
}

void propagate_exempt(const void *address)
{
    struct question question = {.address = (uintptr_t)address};

    if (dl_iterate_phdr(answer, &question) == 0)
        return;
    question.answer.is_exempt = true;
    remember(&question.answer);
}

void propagate_forget_unloaded(void)
{
    (void)pthread_mutex_lock(&known.lock);
    for (unsigned i = 0; i < known.count; i++) {
        struct question question = {.address = known.objects[i].begin};

        if (dl_iterate_phdr(answer, &question) == 0 || question.answer.begin != known.objects[i].begin ||
            question.answer.end != known.objects[i].end)
            __atomic_store_n(&known.objects[i].end, known.objects[i].begin, __ATOMIC_RELAXED);
    }
    (void)pthread_mutex_unlock(&known.lock);
}

bool propagate_exempts(const void *callback)
{
    uintptr_t address = (uintptr_t)callback;
    unsigned count = __atomic_load_n(&known.count, __ATOMIC_ACQUIRE);
    unsigned last = __atomic_load_n(&known.last, __ATOMIC_RELAXED);

    if (!callback)
        return true;
    if (last < count && is_in(&known.objects[last], address))
        return __atomic_load_n(&known.objects[last].is_exempt, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count; i++)
        if (is_in(&known.objects[i], address)) {
            __atomic_store_n(&known.last, i, __ATOMIC_RELAXED);
            return __atomic_load_n(&known.objects[i].is_exempt, __ATOMIC_RELAXED);
        }
    struct question question = {.address = address};
    if (dl_iterate_phdr(answer, &question) == 0)
        return false;
    question.answer.is_exempt = is_libevent(&question);
    remember(&question.answer);
    return question.answer.is_exempt;
}

/* ---- Inside of a wrapper ---- */

void propagate_suspend(struct current *saved)
{
    *saved = current_state;
    current_state = (struct current){0};
}

void propagate_resume(const struct current *saved)
{
    current_leave(saved);
}
