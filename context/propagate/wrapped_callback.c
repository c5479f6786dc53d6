#include "context/propagate/wrapped_callback.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "context/fork_lock.h"
#include "context/lock.h"

/* ---- Their life ---- */

static struct wrapped_callback *begin(size_t size, const struct operation_class *class, struct event_base *base)
{
    struct wrapped_callback *wrapped = calloc(1, size);

    if (!wrapped)
        return NULL;
    wrapped->class = class;
    wrapped->base = base;
    atomic_init(&wrapped->references, 1);
    return wrapped;
}

void *wrapped_callback_allocate(size_t size, const struct operation_class *class, struct event_base *base)
{
    return begin(size, class, base);
}

void wrapped_callback_begin(struct wrapped_callback *wrapped, const void *place)
{
    struct base_home *home = wrapped->base ? base_home_get(wrapped->base) : NULL;

    if (propagate_may_follow())
        operation_begin_at(&wrapped->operation, wrapped->class, place,
                           home ? &home->operations : &operation_home_shared);
}

void *wrapped_callback_new(size_t size, const struct operation_class *class, struct event_base *base, const void *place)
{
    struct wrapped_callback *wrapped = begin(size, class, base);

    if (wrapped)
        wrapped_callback_begin(wrapped, place);
    return wrapped;
}

struct wrapped_callback *wrapped_callback_new_note(const struct operation_class *class, struct event_base *base)
{
    return begin(sizeof(struct wrapped_callback), class, base);
}

struct wrapped_callback *wrapped_callback_ref(struct wrapped_callback *wrapped)
{
    (void)atomic_fetch_add_explicit(&wrapped->references, 1, memory_order_relaxed);
    return wrapped;
}

void wrapped_callback_unref(struct wrapped_callback *wrapped)
{
    if (atomic_fetch_sub_explicit(&wrapped->references, 1, memory_order_acq_rel) > 1)
        return;
    operation_end(&wrapped->operation);
    free(wrapped);
}

void wrapped_callback_enter(struct wrapped_callback *wrapped, struct current *saved)
{
    (void)wrapped_callback_ref(wrapped);
    if (operation_is_pending(&wrapped->operation))
        operation_enter(&wrapped->operation, saved);
    else
        propagate_suspend(saved);
}

void wrapped_callback_leave(struct wrapped_callback *wrapped, const struct current *saved)
{
    if (operation_is_pending(&wrapped->operation))
        operation_leave(&wrapped->operation, saved);
    else
        propagate_resume(saved);
    wrapped_callback_unref(wrapped);
}

/* ---- Files ---- */

enum { FILES = 1024 };

/* An empty file is seen to be empty without the lock: an object's wrapped callbacks are no news to whoever may use it.
 */
static struct {
    pthread_mutex_t lock;
    struct wrapped_callback *first[FILES];
} files = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(files.lock, FORK_LOCK_INNER);

static struct wrapped_callback **file_of(const void *object)
{
    return &files.first[((uintptr_t)object * UINT64_C(0x9E3779B97F4A7C15)) >> 54];
}

static bool is_empty(struct wrapped_callback **file)
{
    return __builtin_expect(__atomic_load_n(file, __ATOMIC_RELAXED) == NULL, 1);
}

static void point_to(struct wrapped_callback **place, struct wrapped_callback *wrapped)
{
    __atomic_store_n(place, wrapped, __ATOMIC_RELAXED);
    if (wrapped)
        wrapped->place = place;
}

static void take_out(struct wrapped_callback *wrapped)
{
    point_to(wrapped->place, wrapped->next);
    wrapped->object = NULL;
}

void wrapped_callback_file(struct wrapped_callback *wrapped, const void *object)
{
    assert(!wrapped->object);
    lock_take(&files.lock);
    struct wrapped_callback **file = file_of(object);
    wrapped->object = object;
    point_to(&wrapped->next, *file);
    point_to(file, wrapped);
    lock_give(&files.lock);
}

static struct wrapped_callback *look_for(const void *object, const struct operation_class *class,
                                         bool (*matches)(const struct wrapped_callback *wrapped, const void *wanted),
                                         const void *wanted)
{
    struct wrapped_callback *found = *file_of(object);

    while (found && (found->object != object || found->class != class || (matches && !matches(found, wanted))))
        found = found->next;
    return found;
}

struct wrapped_callback *wrapped_callback_find(const void *object, const struct operation_class *class)
{
    if (is_empty(file_of(object)))
        return NULL;
    lock_take(&files.lock);
    struct wrapped_callback *found = look_for(object, class, NULL, NULL);
    if (found)
        (void)wrapped_callback_ref(found);
    lock_give(&files.lock);
    return found;
}

struct wrapped_callback *wrapped_callback_take(const void *object, const struct operation_class *class,
                                               bool (*matches)(const struct wrapped_callback *wrapped,
                                                               const void *wanted),
                                               const void *wanted)
{
    if (is_empty(file_of(object)))
        return NULL;
    lock_take(&files.lock);
    struct wrapped_callback *found = look_for(object, class, matches, wanted);
    if (found)
        take_out(found);
    lock_give(&files.lock);
    return found;
}

bool wrapped_callback_take_this(struct wrapped_callback *wrapped, const void *object)
{
    lock_take(&files.lock);
    bool is_there = wrapped->object == object;
    if (is_there)
        take_out(wrapped);
    lock_give(&files.lock);
    return is_there;
}

struct wrapped_callback *wrapped_callback_take_all(const void *object, const struct operation_class *class)
{
    struct wrapped_callback *list = NULL;

    for (;;) {
        struct wrapped_callback *taken = wrapped_callback_take(object, class, NULL, NULL);

        if (!taken)
            return list;
        taken->next = list;
        list = taken;
    }
}

/* ---- Their end ---- */

static const struct operation_class retired_class = {.kind = "retired"};

static void release_retired(evutil_socket_t fd, short what, void *arg)
{
    struct wrapped_callback *wrapped = arg;

    (void)fd;
    (void)what;
    if (wrapped_callback_take_this(wrapped, wrapped->base))
        wrapped_callback_unref(wrapped);
}

void wrapped_callback_retire(struct wrapped_callback *wrapped)
{
    /* Not at once, which would be in front of callbacks that libevent has put off until the loop's next turn. */
    static const struct timeval next_turn = {.tv_usec = 1};
    struct event_base *base = wrapped->base;
    const struct base_home *home = base ? base_home_find(base) : NULL;

    if (!base || (home && base_home_has_ended(home))) {
        wrapped_callback_unref(wrapped);
        return;
    }
    wrapped->class = &retired_class;
    wrapped_callback_file(wrapped, base);
    /* If that fails for want of memory, the end of the base releases it. */
    (void)REAL(event_base_once)(base, -1, EV_TIMEOUT, release_retired, wrapped, &next_turn);
}

void wrapped_callback_drop(struct wrapped_callback *wrapped)
{
    if (!wrapped)
        return;
    if (wrapped->base && base_runs_elsewhere(wrapped->base))
        wrapped_callback_retire(wrapped);
    else
        wrapped_callback_unref(wrapped);
}

void wrapped_callback_end_all(struct wrapped_callback *list, void (*end)(struct wrapped_callback *wrapped))
{
    while (list) {
        struct wrapped_callback *next = list->next;

        end(list);
        list = next;
    }
}

void wrapped_callback_free_base(struct event_base *base, void (*free_base)(struct event_base *base))
{
    free_base(base);
    wrapped_callback_end_all(wrapped_callback_take_all(base, &retired_class), wrapped_callback_unref);
}
