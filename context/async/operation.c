#include "context/async/operation.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "context/async/async_parent.h"
#include "context/async/hook.h"
#include "context/async/running_job.h"
#include "context/fork_guard.h"
#include "context/fork_lock.h"
#include "context/hash.h"
#include "context/lock.h"
#include "context/time.h"

/* ---- Homes ---- */

/* Homes come and go with event bases, and a lock that a fork must find free has to stay: so they share some. */
enum { HOME_LOCK_BITS = 3, HOME_LOCKS = 1 << HOME_LOCK_BITS };

static pthread_mutex_t home_locks[HOME_LOCKS] = {[0 ... HOME_LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

/* All homes but those of threads. */
static LIST_HEAD(, operation_home) operation_homes = LIST_HEAD_INITIALIZER(operation_homes);
static pthread_mutex_t homes_lock = PTHREAD_MUTEX_INITIALIZER;

_Thread_local struct operation_home operation_home_of_thread;
struct operation_home operation_home_shared;

/* Who looks at operations describes them, and looks places up, meanwhile. */
__attribute__((constructor)) static void prepare_homes(void)
{
    fork_lock_register(&homes_lock, FORK_LOCK_OUTERMOST);
    for (size_t i = 0; i < HOME_LOCKS; i++)
        fork_lock_register(&home_locks[i], FORK_LOCK_OUTER);
    operation_home_init(&operation_home_shared);
}

void operation_home_init(struct operation_home *home)
{
    *home = (struct operation_home){
        .lock = &home_locks[hash_pointer(home, HOME_LOCK_BITS)],
    };
    lock_take(&homes_lock);
    LIST_INSERT_HEAD(&operation_homes, home, homes);
    lock_give(&homes_lock);
}

void operation_home_done(struct operation_home *home)
{
    assert(LIST_EMPTY(&home->pending));
    lock_take(&homes_lock);
    LIST_REMOVE(home, homes);
    lock_give(&homes_lock);
}

void operation_home_move(struct operation_home *home)
{
    struct operation_list moving = LIST_HEAD_INITIALIZER(moving);
    struct operation *operation;

    operation_home_lock(home);
    while ((operation = LIST_FIRST(&home->pending))) {
        LIST_REMOVE(operation, pending);
        LIST_INSERT_HEAD(&moving, operation, pending);
        operation->home = &operation_home_shared;
    }
    operation_home_unlock(home);
    operation_home_lock(&operation_home_shared);
    while ((operation = LIST_FIRST(&moving))) {
        LIST_REMOVE(operation, pending);
        LIST_INSERT_HEAD(&operation_home_shared.pending, operation, pending);
    }
    operation_home_unlock(&operation_home_shared);
}

void operation_home_take(struct operation_home *home)
{
    __atomic_store_n(&home->thread, operation_this_thread(), __ATOMIC_RELAXED);
}

void operation_home_give(struct operation_home *home)
{
    __atomic_store_n(&home->thread, NULL, __ATOMIC_RELAXED);
}

static bool is_kept(const struct operation_home *home)
{
    return __atomic_load_n(&home->thread, __ATOMIC_RELAXED) != NULL;
}

/* What needs a lock is apart: most need none. */
__attribute__((noinline, cold)) static void move_in_locked(struct operation *operation, struct operation_home *home)
{
    lock_take_briefly(home->lock);
    /* Its thread does not ask for the lock. What others begin meanwhile is everybody's. */
    if (is_kept(home)) {
        lock_give_briefly(home->lock);
        home = &operation_home_shared;
        lock_take_briefly(home->lock);
    }
    operation->home = home;
    LIST_INSERT_HEAD(&home->pending, operation, pending);
    lock_give_briefly(home->lock);
}

static inline void move_in(struct operation *operation, struct operation_home *home)
{
    if (__builtin_expect(!operation_home_is_here(home), 0)) {
        move_in_locked(operation, home);
        return;
    }
    operation->home = home;
    LIST_INSERT_HEAD(&home->pending, operation, pending);
}

__attribute__((noinline, cold)) static void move_out_locked(struct operation *operation)
{
    struct operation_home *home = operation->home;

    lock_take_briefly(home->lock);
    LIST_REMOVE(operation, pending);
    lock_give_briefly(home->lock);
}

static inline void move_out(struct operation *operation)
{
    if (__builtin_expect(!operation_home_is_here(operation->home), 0))
        move_out_locked(operation);
    else
        LIST_REMOVE(operation, pending);
}

/* ---- Numbers and times ---- */

/* Each thread has a range of its own, so that counting needs no other. */
uint64_t operation_next_id(void)
{
    static atomic_uint_fast64_t last_range;
    static _Thread_local uint64_t last_id;

    if (__builtin_expect(last_id == 0, 0))
        last_id = (atomic_fetch_add_explicit(&last_range, 1, memory_order_relaxed)) << 44;
    return ++last_id;
}

/* ---- Looking at them ---- */

static int each_in(const struct operation_home *home, int (*visit)(const struct operation *operation, void *arg),
                   void *arg)
{
    const struct operation *operation;
    int r = 0;

    LIST_FOREACH (operation, &home->pending, pending) {
        r = visit(operation, arg);
        if (r != 0)
            break;
    }
    return r;
}

int operation_each(int (*visit)(const struct operation *operation, void *arg), void *arg)
{
    struct operation_home *home;
    int r = each_in(&operation_home_of_thread, visit, arg);

    lock_take(&homes_lock);
    LIST_FOREACH (home, &operation_homes, homes) {
        if (r != 0)
            break;
        operation_home_lock(home);
        if (!is_kept(home) || operation_home_is_here(home))
            r = each_in(home, visit, arg);
        operation_home_unlock(home);
    }
    lock_give(&homes_lock);
    return r;
}

/* ---- An operation's life ---- */

/* The one place where the hold changes. Gives the context that it was of. */
static inline struct weft_context *operation_hold(struct operation *operation, enum operation_hold hold,
                                                  struct weft_context *context)
{
    struct weft_context *before = operation->info.context;

    operation->hold = hold;
    operation->info.context = context;
    return before;
}

__attribute__((always_inline)) static inline void begin_in(struct operation *operation,
                                                           const struct operation_class *class, const void *place,
                                                           struct operation_home *home, enum operation_hold hold,
                                                           struct weft_context *context, const char *name)
{
    struct operation *running = current_state.operation;
    struct async_parent *async_parent = NULL;
    bool has_hooks = hooks_any();

    if (running) {
        /* The link for what the running operation begins is made once for all of that. */
        if (!running->self)
            running->self = async_parent_new(&running->info, running->parent);
        async_parent = running->self;
    }
    operation->info.id = operation_next_id();
    operation->info.trigger = running ? running->info.id : 0;
    operation->info.kind = class->kind;
    operation->info.name = name;
    operation->info.place = place;
    operation->info.since_us = class->since_us && !has_hooks ? 0 : time_coarse_us();
    operation->class = class;
    operation->parent = async_parent_ref(async_parent);
    operation->self = NULL;
    operation->is_told = !has_hooks || hook_listens();
    (void)operation_hold(operation, hold, context);
    move_in(operation, home);
    if (has_hooks && operation->is_told)
        hook_tell(HOOK_INIT, &operation->info);
}

static struct operation_home *home_for(unsigned flags)
{
    return flags & OPERATION_ELSEWHERE ? &operation_home_shared : &operation_home_of_thread;
}

void operation_begin_in(struct operation *operation, const struct operation_class *class, const void *place,
                        unsigned flags, struct weft_context *context, const char *name)
{
    begin_in(operation, class, place, home_for(flags),
             flags & OPERATION_BORROWS ? OPERATION_HOLDS_NOTHING : OPERATION_HOLDS, context, name);
}

void operation_begin(struct operation *operation, const struct operation_class *class, const void *place,
                     unsigned flags)
{
    struct weft_context *context = current_state.context;

    operation_begin_in(operation, class, place, flags, flags & OPERATION_BORROWS ? context : weft_context_ref(context),
                       NULL);
}

void operation_begin_at(struct operation *operation, const struct operation_class *class, const void *place,
                        struct operation_home *home)
{
    begin_in(operation, class, place, home, OPERATION_HOLDS, frame_ref(current_state.context), NULL);
}

static void tell(enum hook_event event, const struct operation *operation)
{
    if (hooks_any() && operation->is_told)
        hook_tell(event, &operation->info);
}

static void (*watch_root)(const struct operation *operation);

void operation_watch_root(void (*watch)(const struct operation *operation))
{
    watch_root = watch;
}

void operation_before(const struct operation *operation)
{
    running_job_set(operation->info.context);
    tell(HOOK_BEFORE, operation);
}

void operation_after(const struct operation *operation)
{
    tell(HOOK_AFTER, operation);
}

void operation_enter(struct operation *operation, struct current *saved)
{
    assert(operation_is_pending(operation));
    current_enter_operation(saved, frame_ref(operation->info.context), operation);
    if (__builtin_expect(!operation->info.context, 0) && watch_root)
        watch_root(operation);
    operation_before(operation);
}

void operation_enter_last(struct operation *operation, struct current *saved)
{
    assert(operation_is_pending(operation) && operation->hold == OPERATION_HOLDS);
    if (!operation_is_here(operation)) {
        operation_enter(operation, saved);
        return;
    }
    (void)operation_hold(operation, OPERATION_HAS_LENT, operation->info.context);
    current_enter_operation(saved, operation->info.context, operation);
    current_state.rights = CURRENT_WRITES_LENT;
    if (__builtin_expect(!operation->info.context, 0) && watch_root)
        watch_root(operation);
    operation_before(operation);
}

void operation_leave(struct operation *operation, const struct current *saved)
{
    fork_guard_check();
    struct weft_context *context = current_leave_with(saved);

    if (operation->hold == OPERATION_HAS_LENT) {
        (void)operation_hold(operation, OPERATION_HOLDS_LAST, context);
        operation_after(operation);
        return;
    }
    operation_after(operation);
    frame_unref(context);
    running_job_set(current_state.context);
}

void operation_follow_lent(struct operation *operation, struct weft_context *context)
{
    if (operation->hold == OPERATION_HAS_LENT)
        (void)operation_hold(operation, OPERATION_HAS_LENT, context);
}

bool operation_renew(struct operation *operation, const void *place)
{
    if (hooks_any() || operation->info.place != place || operation->info.context != current_state.context)
        return false;
    /* The code that has the lent reference keeps it. */
    if (operation->hold == OPERATION_HAS_LENT)
        (void)operation_hold(operation, OPERATION_HOLDS, frame_ref(current_state.context));
    return true;
}

void operation_end(struct operation *operation)
{
    if (!operation_is_pending(operation))
        return;
    move_out(operation);
    tell(HOOK_DESTROY, operation);
    operation->class = NULL;

    enum operation_hold hold = operation->hold;
    struct weft_context *context = operation_hold(operation, OPERATION_HOLDS_NOTHING, NULL);
    if (operation->parent)
        operation->parent = async_parent_unref(operation->parent);
    if (operation->self)
        operation->self = async_parent_unref(operation->self);
    if (hold != OPERATION_HOLDS_NOTHING)
        frame_unref(context);
    /* Not before: what is released with its context is still its doing. */
    if (hold == OPERATION_HOLDS_LAST)
        running_job_set(current_state.context);
}

uint64_t weft_operation_current(void)
{
    return current_state.operation ? current_state.operation->info.id : 0;
}

int64_t operation_since_us(const struct operation *operation)
{
    if (operation->info.since_us != 0 || !operation->class->since_us)
        return operation->info.since_us;
    return operation->class->since_us(operation);
}

/* ---- In words ---- */

void operation_describe(const struct operation *operation, char *buffer)
{
    if (operation->class->describe)
        operation->class->describe(operation, buffer);
    else
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "%s%s%s", operation->info.kind,
                       operation->info.name ? " " : "", operation->info.name ? operation->info.name : "");
}

size_t operation_stack(const struct operation *operation, char *buffer, size_t size)
{
    const struct weft_operation *info = &operation->info;
    size_t used = async_parent_write_one(info->kind, info->name, info->place, "", buffer, size, 0);

    return async_parent_write(operation->parent, buffer, size, used);
}

size_t weft_async_stack(char *buffer, size_t size)
{
    if (size > 0)
        buffer[0] = '\0';
    return current_state.operation ? operation_stack(current_state.operation, buffer, size) : 0;
}

size_t operation_links(struct operation_link *links, size_t max)
{
    const struct operation *running = current_state.operation;
    size_t count = 0;

    if (!running || max == 0)
        return 0;
    links[count++] = (struct operation_link){running->info.kind, running->info.name, running->info.place};
    for (const struct async_parent *async_parent = running->parent; async_parent && count < max;
         async_parent = async_parent->parent)
        links[count++] = (struct operation_link){async_parent->kind, async_parent->name, async_parent->place};
    return count;
}
