#include "context/propagate/propagate.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/log.h>

#include "context/fork_lock.h"
#include "context/lock.h"
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

/* ---- Whose code it is ---- */

/* What is known of an object. An object without any of these is a library. */
enum object_flags {
    OBJECT_EXEMPT = 1,        /* infrastructure: libevent, and what propagate_exempt() was told of */
    OBJECT_THREADS = 2,       /* its threads are followed */
    OBJECT_EVENTS = 4,        /* so are its events */
    OBJECT_CXX = 8,           /* the C++ runtime, in which std::thread's begin */
    OBJECT_TOLD_THREADS = 16, /* it has been said in the log that they are not */
    OBJECT_TOLD_EVENTS = 32,
};

/* The executable and the shared objects that callbacks have been seen of. Beyond the last, the linker is asked again
 * each time. */
enum { OBJECTS_MAX = 64 };

struct object {
    uintptr_t begin;
    uintptr_t end; /* as `begin`: it has been unloaded, or is to be asked for again */
    unsigned flags;
};

/* An object that users have named, or a plugin. */
struct named {
    struct named *next;
    unsigned flags;
    char name[];
};

static struct {
    pthread_mutex_t lock;
    struct object objects[OBJECTS_MAX];
    unsigned count;
    unsigned last;       /* where the last search ended */
    struct named *named; /* under the lock */
    bool has_plugins;    /* so that all else but the executable is a library */
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

/* What std::thread and std::jthread are started by, in libstdc++: now, and before gcc 6. Other runtimes begin threads
 * in code that the compiler puts into the object that uses them. */
static const char *const cxx_functions[] = {
    "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE",
    "_ZNSt6thread15_M_start_threadESt10shared_ptrINS_10_Impl_baseEE",
};

/* The library's own, rather than one of a library that it needs; it need not be in the search order. */
static bool is_cxx_runtime(const struct question *question)
{
    bool found = false;
    void *library = dlopen(question->path, RTLD_LAZY | RTLD_NOLOAD);

    if (!library)
        return false;
    for (size_t i = 0; i < ELEMENTS(cxx_functions) && !found; i++) {
        uintptr_t function = (uintptr_t)dlsym(library, cxx_functions[i]);

        found = function && is_in(&question->answer, function);
    }
    propagate_close(library);
    return found;
}

/* Of several names: libraries have links to them, and /lib is one itself. */
static bool is_same_file(const char *path, const char *other)
{
    struct stat of_path, of_other;

    return stat(path, &of_path) == 0 && stat(other, &of_other) == 0 && of_path.st_dev == of_other.st_dev &&
           of_path.st_ino == of_other.st_ino;
}

/* By its path, or by its file's name with or without what follows a dot: libgomp is libgomp.so.1, too. */
static bool is_called(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    size_t size = strlen(name);

    if (strchr(name, '/'))
        return strcmp(path, name) == 0 || is_same_file(path, name);
    return strncmp(file, name, size) == 0 && (file[size] == '\0' || file[size] == '.');
}

static unsigned named_flags(const char *path)
{
    unsigned flags = 0;

    lock_take(&known.lock);
    for (const struct named *named = known.named; named; named = named->next)
        if (is_called(path, named->name))
            flags |= named->flags;
    lock_give(&known.lock);
    return flags;
}

/* By what it defines, whatever its file is called, and by what users say of it. */
static unsigned judge(const struct question *question)
{
    if (!*question->path)
        return OBJECT_THREADS | OBJECT_EVENTS;
    if (is_libevent(question))
        return OBJECT_EXEMPT;
    return (is_cxx_runtime(question) ? OBJECT_CXX : 0) | named_flags(question->path);
}

/* Readers take no lock: an object is complete before it is counted. */
static void remember(const struct object *object)
{
    lock_take(&known.lock);
    unsigned place = 0;
    while (place < known.count && known.objects[place].begin != object->begin)
        place++;
    if (place < known.count) {
        struct object *old = &known.objects[place];
        unsigned flags = old->end == object->end ? old->flags : 0;

        __atomic_store_n(&old->flags, flags | object->flags, __ATOMIC_RELAXED);
        __atomic_store_n(&old->end, object->end, __ATOMIC_RELAXED);
    } else if (place < OBJECTS_MAX) {
        known.objects[place] = *object;
        __atomic_store_n(&known.count, place + 1, __ATOMIC_RELEASE);
    }
    lock_give(&known.lock);
}

void propagate_exempt(const void *address)
{
    struct question question = {.address = (uintptr_t)address};

    if (dl_iterate_phdr(answer, &question) == 0)
        return;
    question.answer.flags = OBJECT_EXEMPT;
    remember(&question.answer);
}

void propagate_forget_unloaded(void)
{
    lock_take(&known.lock);
    for (unsigned i = 0; i < known.count; i++) {
        struct question question = {.address = known.objects[i].begin};

        if (dl_iterate_phdr(answer, &question) == 0 || question.answer.begin != known.objects[i].begin ||
            question.answer.end != known.objects[i].end)
            __atomic_store_n(&known.objects[i].end, known.objects[i].begin, __ATOMIC_RELAXED);
    }
    lock_give(&known.lock);
}

static int add_named(const char *name, unsigned flags)
{
    struct named *named = name && *name ? malloc(sizeof(*named) + strlen(name) + 1) : NULL;

    if (!named)
        return name && *name ? -ENOMEM : -EINVAL;
    named->flags = flags;
    (void)strcpy(named->name, name);
    lock_take(&known.lock);
    named->next = known.named;
    known.named = named;
    /* What has been said of others before may be wrong now. */
    for (unsigned i = 0; i < known.count; i++)
        if (!(known.objects[i].flags & OBJECT_EXEMPT))
            __atomic_store_n(&known.objects[i].end, known.objects[i].begin, __ATOMIC_RELAXED);
    lock_give(&known.lock);
    return 0;
}

int propagate_adopt_plugin(const void *address)
{
    struct question question = {.address = (uintptr_t)address};

    known.has_plugins = true;
    /* A plugin that is part of the executable is the users' as it is. */
    if (dl_iterate_phdr(answer, &question) == 0 || !*question.path)
        return 0;
    return add_named(question.path, OBJECT_THREADS | OBJECT_EVENTS);
}

int weft_follow_threads_of(const char *library)
{
    return add_named(library, OBJECT_THREADS);
}

int weft_follow_events_of(const char *library)
{
    return add_named(library, OBJECT_EVENTS);
}

/* Of the object that an address is in; 0 also where it is in none. */
static unsigned flags_of(uintptr_t address)
{
    unsigned count = __atomic_load_n(&known.count, __ATOMIC_ACQUIRE);
    unsigned last = __atomic_load_n(&known.last, __ATOMIC_RELAXED);

    if (last < count && is_in(&known.objects[last], address))
        return __atomic_load_n(&known.objects[last].flags, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < count; i++)
        if (is_in(&known.objects[i], address)) {
            __atomic_store_n(&known.last, i, __ATOMIC_RELAXED);
            return __atomic_load_n(&known.objects[i].flags, __ATOMIC_RELAXED);
        }
    struct question question = {.address = address};
    if (dl_iterate_phdr(answer, &question) == 0)
        return OBJECT_THREADS | OBJECT_EVENTS; /* code that was made at run time is the users' */
    question.answer.flags = judge(&question);
    remember(&question.answer);
    return question.answer.flags;
}

bool propagate_exempts(const void *callback)
{
    return !callback || flags_of((uintptr_t)callback) & OBJECT_EXEMPT;
}

bool propagate_is_plugins(const void *address)
{
    unsigned flags = flags_of((uintptr_t)address);

    return flags & OBJECT_THREADS && flags & OBJECT_EVENTS && !(flags & OBJECT_EXEMPT);
}

/* Says, once for each library, that what it schedules for itself begins at the root. */
static void tell(uintptr_t address, unsigned told, const char *what)
{
    struct question question = {.address = address};

    if (flags_of(address) & told || dl_iterate_phdr(answer, &question) == 0)
        return;
    question.answer.flags = judge(&question) | told;
    remember(&question.answer);
    weft_debug("%s that %s starts for itself begin at the root, since context.follow_%s_of does not name it", what,
               question.path, what);
}

/* The function that a thread of the C++ runtime's runs: `arg` is a std::thread::_State, whose _M_run() the object has
 * that has made the thread, after its two destructors. 0: it is none. */
static uintptr_t cxx_thread_function(void *const *arg)
{
    enum { M_RUN = 2 };
    struct question question = {.address = arg ? (uintptr_t)*arg : 0};

    if (dl_iterate_phdr(answer, &question) == 0)
        return 0;
    const uintptr_t *functions = *arg;
    return is_in(&question.answer, (uintptr_t)&functions[M_RUN]) ? functions[M_RUN] : 0;
}

bool propagate_follows_thread(const void *start, void *arg)
{
    uintptr_t function = (uintptr_t)start;

    if (!current_state.context || !start)
        return false;
    unsigned flags = flags_of(function);
    if (flags & OBJECT_CXX && !(flags & OBJECT_THREADS)) {
        function = cxx_thread_function(arg);
        flags = function ? flags_of(function) : OBJECT_THREADS;
    }
    if (flags & OBJECT_EXEMPT)
        return false;
    if (!(flags & (OBJECT_THREADS | OBJECT_CXX))) {
        tell(function, OBJECT_TOLD_THREADS, "threads");
        return false;
    }
    return true;
}

bool propagate_follows_event(const void *callback)
{
    if (!callback || (!current_state.context && !at_root_is_watched))
        return false;
    unsigned flags = flags_of((uintptr_t)callback);
    if (flags & OBJECT_EXEMPT)
        return false;
    if (!current_state.context)
        return propagate_is_plugins(callback);
    if (known.has_plugins && !(flags & OBJECT_EVENTS)) {
        tell((uintptr_t)callback, OBJECT_TOLD_EVENTS, "events");
        return false;
    }
    return true;
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
