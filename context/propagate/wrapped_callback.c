#include "context/propagate/wrapped_callback.h"

#include <pthread.h>
#include <stdlib.h>

#include "context/fork_lock.h"

/* ---- Their life ---- */

static struct registration *begin(size_t size, const struct operation_class *class, struct event_base *base)
{
    struct registration *registration = calloc(1, size);

    if (!registration)
        return NULL;
    registration->class = class;
    registration->base = base;
    atomic_init(&registration->references, 1);
    return registration;
}

void *registration_new(size_t size, const struct operation_class *class, struct event_base *base, const void *place)
{
    struct registration *registration = begin(size, class, base);
    bool is_of_this_thread = base && propagate_owner(base) == BASE_RUN_HERE;

    if (registration && current_state.context)
        operation_begin(&registration->operation, class, place, is_of_this_thread ? 0 : OPERATION_ELSEWHERE);
    return registration;
}

struct registration *registration_new_note(const struct operation_class *class, struct event_base *base)
{
    return begin(sizeof(struct registration), class, base);
}

struct registration *registration_ref(struct registration *registration)
{
    (void)atomic_fetch_add_explicit(&registration->references, 1, memory_order_relaxed);
    return registration;
}

void registration_unref(struct registration *registration)
{
    if (atomic_fetch_sub_explicit(&registration->references, 1, memory_order_acq_rel) > 1)
        return;
    operation_end(&registration->operation);
    free(registration);
}

void registration_enter(struct registration *registration, struct current *saved)
{
    (void)registration_ref(registration);
    if (operation_is_pending(&registration->operation))
        operation_enter(&registration->operation, saved);
    else
        propagate_suspend(saved);
}

void registration_leave(struct registration *registration, const struct current *saved)
{
    if (operation_is_pending(&registration->operation))
        operation_leave(&registration->operation, saved);
    else
        propagate_resume(saved);
    registration_unref(registration);
}

/* ---- Files ---- */

enum { FILES = 1024 };

/* An empty file is seen to be empty without the lock: an object's registrations are no news to whoever may use it. */
static struct {
    pthread_mutex_t lock;
    struct registration *first[FILES];
} files = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(files.lock, FORK_LOCK_INNER);

static struct registration **file_of(const void *object)
{
    return &files.first[((uintptr_t)object * UINT64_C(0x9E3779B97F4A7C15)) >> 54];
}

static bool is_empty(struct registration **file)
{
    return __builtin_expect(__atomic_load_n(file, __ATOMIC_RELAXED) == NULL, 1);
}

static void point_to(struct registration **place, struct registration *registration)
{
    __atomic_store_n(place, registration, __ATOMIC_RELAXED);
    if (registration)
        registration->place = place;
}

static void put_in(struct registration *registration, const void *object)
{
    struct registration **file = file_of(object);

    registration->object = object;
    point_to(&registration->next, *file);
    point_to(file, registration);
}

static void take_out(struct registration *registration)
{
    point_to(registration->place, registration->next);
    registration->object = NULL;
}

void registration_file(struct registration *registration, const void *object)
{
    (void)pthread_mutex_lock(&files.lock);
    put_in(registration, object);
    (void)pthread_mutex_unlock(&files.lock);
}

static struct registration *look_for(const void *object, const struct operation_class *class,
                                     bool (*matches)(const struct registration *registration, const void *wanted),
                                     const void *wanted)
{
    struct registration *found = *file_of(object);

    while (found && (found->object != object || found->class != class || (matches && !matches(found, wanted))))
        found = found->next;
    return found;
}

struct registration *registration_find(const void *object, const struct operation_class *class)
{
    if (is_empty(file_of(object)))
        return NULL;
    (void)pthread_mutex_lock(&files.lock);
    struct registration *found = look_for(object, class, NULL, NULL);
    if (found)
        (void)registration_ref(found);
    (void)pthread_mutex_unlock(&files.lock);
    return found;
}

struct registration *registration_take(const void *object, const struct operation_class *class,
                                       bool (*matches)(const struct registration *registration, const void *wanted),
                                       const void *wanted)
{
    if (is_empty(file_of(object)))
        return NULL;
    (void)pthread_mutex_lock(&files.lock);
    struct registration *found = look_for(object, class, matches, wanted);
    if (found)
        take_out(found);
    (void)pthread_mutex_unlock(&files.lock);
    return found;
}

bool registration_take_this(struct registration *registration, const void *object)
{
    (void)pthread_mutex_lock(&files.lock);
    bool is_there = registration->object == object;
    if (is_there)
        take_out(registration);
    (void)pthread_mutex_unlock(&files.lock);
    return is_there;
}

struct registration *registration_take_all(const void *object, const struct operation_class *class)
{
    struct registration *list = NULL;

    for (;;) {
        struct registration *taken = registration_take(object, class, NULL, NULL);

        if (!taken)
            return list;
        taken->next = list;
        list = taken;
    }
}

/* ---- Their end ---- */

static const struct operation_class retired_class = {.kind = "retired"};

/* The base that this thread is freeing: its loop runs nothing any more. */
static _Thread_local const struct event_base *base_being_freed;

static void release_retired(evutil_socket_t fd, short what, void *arg)
{
    struct registration *registration = arg;

    (void)fd;
    (void)what;
    if (registration_take_this(registration, registration->base))
        registration_unref(registration);
}

void registration_retire(struct registration *registration)
{
    /* Not at once, which would be in front of callbacks that libevent has put off until the loop's next turn. */
    static const struct timeval next_turn = {.tv_usec = 1};
    struct event_base *base = registration->base;

    if (!base || base == base_being_freed) {
        registration_unref(registration);
        return;
    }
    registration->class = &retired_class;
    registration_file(registration, base);
    /* If that fails for want of memory, the end of the base releases it. */
    (void)REAL(event_base_once)(base, -1, EV_TIMEOUT, release_retired, registration, &next_turn);
}

void registration_drop(struct registration *registration)
{
    if (!registration)
        return;
    if (registration->base && propagate_owner(registration->base) == BASE_RUN_ELSEWHERE)
        registration_retire(registration);
    else
        registration_unref(registration);
}

void registration_end_all(struct registration *list, void (*end)(struct registration *registration))
{
    while (list) {
        struct registration *next = list->next;

        end(list);
        list = next;
    }
}

void registration_free_base(struct event_base *base, void (*free_base)(struct event_base *base))
{
    const struct event_base *outer = base_being_freed;

    base_being_freed = base;
    free_base(base);
    base_being_freed = outer;
    registration_end_all(registration_take_all(base, &retired_class), registration_unref);
}
