#include "context/task/thread_state.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context/fork_lock.h"
#include "context/lock.h"
#include "context/propagate/propagate.h"

typedef struct cxx_exceptions *get_exceptions_fn(void);

/* The runtimes that have been found, for all threads. They stay loaded. */
static struct {
    pthread_mutex_t lock;
    unsigned count;
    get_exceptions_fn *get[CXX_RUNTIMES_MAX];
    unsigned long long adds; /* dl_iterate_phdr()'s count of what was loaded, when they were looked for */
} runtimes = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(runtimes.lock, FORK_LOCK_OUTER);

unsigned thread_state_loads = 1;
bool thread_state_has_locales;

/* ---- C++ runtimes ---- */

/* The files that are loaded. Their names are copied: nothing may be loaded or looked up while the list is gone through.
 */
struct files {
    unsigned long long adds;
    char **names;
    size_t count, room;
};

static int note_file(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct files *files = arg;

    (void)size;
    files->adds = info->dlpi_adds;
    if (files->count == files->room) {
        size_t room = files->room ? files->room * 2 : 64;
        char **names = realloc(files->names, room * sizeof(*names));

        if (!names)
            return 1;
        files->names = names;
        files->room = room;
    }
    files->names[files->count] = strdup(info->dlpi_name ? info->dlpi_name : "");
    if (!files->names[files->count])
        return 1;
    files->count++;
    return 0;
}

static int note_adds(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(unsigned long long *)arg = info->dlpi_adds;
    return 1;
}

static bool is_known(get_exceptions_fn *get)
{
    for (unsigned i = 0; i < runtimes.count; i++)
        if (runtimes.get[i] == get)
            return true;
    return false;
}

/* A plugin's own runtime, and one that only a plugin uses, are not in the search order of the executable. Of what was
 * found, one handle is kept, so that it is never unloaded. */
static void look_in(const char *name)
{
    void *library = REAL(dlopen)(*name ? name : NULL, RTLD_LAZY | RTLD_NOLOAD);

    if (!library)
        return;
    get_exceptions_fn *get = (get_exceptions_fn *)(uintptr_t)dlsym(library, "__cxa_get_globals");
    if (get && !is_known(get) && runtimes.count < CXX_RUNTIMES_MAX)
        runtimes.get[runtimes.count++] = get;
    else
        (void)dlclose(library);
}

/* Under the lock. */
static void look_everywhere(void)
{
    unsigned long long adds = 0;
    struct files files = {0};

    (void)dl_iterate_phdr(note_adds, &adds);
    if (adds == runtimes.adds)
        return;
    (void)dl_iterate_phdr(note_file, &files);
    for (size_t i = 0; i < files.count; i++) {
        look_in(files.names[i]);
        free(files.names[i]);
    }
    free(files.names);
    runtimes.adds = files.adds;
}

void thread_place_refresh(struct thread_place *place)
{
    int error = errno;

    place->loads = __atomic_load_n(&thread_state_loads, __ATOMIC_ACQUIRE);
    lock_take(&runtimes.lock);
    look_everywhere();
    unsigned count = runtimes.count;
    lock_give(&runtimes.lock);
    /* Outside of the lock, since a runtime may allocate what the thread has of it. */
    while (place->runtimes < count) {
        place->exceptions[place->runtimes] = runtimes.get[place->runtimes]();
        place->runtimes++;
    }
    errno = error;
}

void thread_place_init(struct thread_place *place)
{
    *place = (struct thread_place){.error = &errno};
    thread_place_refresh(place);
}

/* ---- States ---- */

void thread_state_begin(struct thread_state *state)
{
    *state = (struct thread_state){0};
    thread_state_get_control(state);
}

void thread_state_swap_locale(struct thread_state *from, const struct thread_state *to)
{
    from->locale = REAL(uselocale)(to->locale);
}
