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
#include "context/time.h"

/* Those of this thread, which only it may touch, and those that any thread may. The newest first. */
LIST_HEAD(operations, operation);
static _Thread_local struct operations pending_here;
static struct operations pending_elsewhere;
static pthread_mutex_t elsewhere_lock = PTHREAD_MUTEX_INITIALIZER;

/* Who looks at operations describes them, and looks places up, meanwhile. */
FORK_LOCK(elsewhere_lock, FORK_LOCK_OUTER);

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

/* ---- Lists ---- */

static int each_in(const struct operations *list, int (*visit)(const struct operation *operation, void *arg), void *arg)
{
    const struct operation *operation;
    int r = 0;

    LIST_FOREACH (operation, list, pending) {
        r = visit(operation, arg);
        if (r != 0)
            break;
    }
    return r;
}

int operation_each(int (*visit)(const struct operation *operation, void *arg), void *arg)
{
    int r = each_in(&pending_here, visit, arg);

    if (r != 0)
        return r;
    (void)pthread_mutex_lock(&elsewhere_lock);
    r = each_in(&pending_elsewhere, visit, arg);
    (void)pthread_mutex_unlock(&elsewhere_lock);
    return r;
}

/* ---- An operation's life ---- */

void operation_begin_in(struct operation *operation, const struct operation_class *class, const void *place,
                        unsigned flags, struct weft_context *context, const char *name)
{
    struct operation *running = current_state.operation;
    struct async_parent *async_parent = NULL;

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
    operation->info.since_us = flags & OPERATION_UNTIMED ? 0 : time_coarse_us();
    operation->info.context = context;
    operation->class = class;
    operation->parent = flags & OPERATION_ELSEWHERE ? async_parent_copy(async_parent) : async_parent_ref(async_parent);
    operation->self = NULL;
    operation->flags = (uint8_t)flags;
    if (flags & OPERATION_ELSEWHERE) {
        (void)pthread_mutex_lock(&elsewhere_lock);
        LIST_INSERT_HEAD(&pending_elsewhere, operation, pending);
        (void)pthread_mutex_unlock(&elsewhere_lock);
    } else {
        LIST_INSERT_HEAD(&pending_here, operation, pending);
    }
    if (!hooks_any())
        return;
    if (operation->info.since_us == 0)
        operation->info.since_us = time_coarse_us();
    if (hook_listens())
        hook_tell(HOOK_INIT, &operation->info);
    else
        operation->flags |= OPERATION_UNTOLD;
}

void operation_begin(struct operation *operation, const struct operation_class *class, const void *place,
                     unsigned flags)
{
    struct weft_context *context = current_state.context;

    operation_begin_in(operation, class, place, flags, flags & OPERATION_BORROWS ? context : weft_context_ref(context),
                       NULL);
}

static void tell(enum hook_event event, const struct operation *operation)
{
    if (hooks_any() && !(operation->flags & OPERATION_UNTOLD))
        hook_tell(event, &operation->info);
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
    operation_before(operation);
}

void operation_enter_last(struct operation *operation, struct current *saved)
{
    assert(operation_is_pending(operation));
    operation->flags |= OPERATION_LENT;
    current_enter_operation(saved, operation->info.context, operation);
    operation_before(operation);
}

void operation_leave(struct operation *operation, const struct current *saved)
{
    fork_guard_check();
    struct weft_context *context = current_leave_with(saved);

    if (operation->flags & OPERATION_LENT)
        operation->info.context = context;
    operation_after(operation);
    if (operation->flags & OPERATION_LENT)
        return;
    frame_unref(context);
    running_job_set(current_state.context);
}

bool operation_renew(struct operation *operation, const void *place)
{
    if (hooks_any() || operation->info.place != place || operation->info.context != current_state.context)
        return false;
    if (operation->flags & OPERATION_LENT) {
        operation->flags &= (uint8_t)~OPERATION_LENT;
        operation->info.context = frame_ref(current_state.context);
    }
    return true;
}

void operation_end(struct operation *operation)
{
    if (!operation_is_pending(operation))
        return;
    if (operation->flags & OPERATION_ELSEWHERE) {
        (void)pthread_mutex_lock(&elsewhere_lock);
        LIST_REMOVE(operation, pending);
        (void)pthread_mutex_unlock(&elsewhere_lock);
    } else {
        LIST_REMOVE(operation, pending);
    }
    tell(HOOK_DESTROY, operation);
    operation->class = NULL;

    struct weft_context *context = operation->info.context;
    operation->info.context = NULL;
    if (operation->parent)
        operation->parent = async_parent_unref(operation->parent);
    if (operation->self)
        operation->self = async_parent_unref(operation->self);
    if (!(operation->flags & OPERATION_BORROWS))
        frame_unref(context);
    /* Not before: what is released with its context is still its doing. */
    if (operation->flags & OPERATION_LENT)
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
