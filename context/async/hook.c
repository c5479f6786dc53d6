#include "context/async/hook.h"

#include <pthread.h>

#include "context/current.h"
#include "context/fork_lock.h"
#include "context/lock.h"

bool hooks_installed;

/* In the order of their serials. */
static struct weft_hook *hooks;
static uint64_t last_serial;
static pthread_mutex_t hooks_lock = PTHREAD_MUTEX_INITIALIZER;

FORK_LOCK(hooks_lock, FORK_LOCK_INNER);

static _Thread_local bool telling;

static struct weft_hook **find(const struct weft_hook *hook)
{
    struct weft_hook **place = &hooks;

    while (*place && *place != hook)
        place = &(*place)->next;
    return place;
}

void weft_hook_add(struct weft_hook *hook)
{
    lock_take(&hooks_lock);
    struct weft_hook **place = find(hook);
    if (!*place) {
        hook->next = NULL;
        hook->serial = ++last_serial;
        *place = hook;
        __atomic_store_n(&hooks_installed, true, __ATOMIC_RELAXED);
    }
    lock_give(&hooks_lock);
}

void weft_hook_remove(struct weft_hook *hook)
{
    lock_take(&hooks_lock);
    struct weft_hook **place = find(hook);
    if (*place)
        *place = hook->next;
    __atomic_store_n(&hooks_installed, hooks != NULL, __ATOMIC_RELAXED);
    lock_give(&hooks_lock);
}

bool hook_listens(void)
{
    return !telling;
}

/* The next hook after `serial`, copied while it is certainly there; false: there is none. Hooks that are added
 * meanwhile have serials beyond `last`. */
static bool next_hook(uint64_t serial, uint64_t last, struct weft_hook *ret_hook)
{
    lock_take(&hooks_lock);
    const struct weft_hook *hook = hooks;
    while (hook && hook->serial <= serial)
        hook = hook->next;
    bool found = hook && hook->serial <= last;
    if (found)
        *ret_hook = *hook;
    lock_give(&hooks_lock);
    return found;
}

void hook_tell(enum hook_event event, const struct weft_operation *operation)
{
    struct weft_hook hook = {0};
    struct current saved;

    if (telling)
        return;
    lock_take(&hooks_lock);
    uint64_t last = last_serial;
    lock_give(&hooks_lock);
    telling = true;
    current_enter(&saved, weft_context_ref(operation->context));
    while (next_hook(hook.serial, last, &hook)) {
        void (*const functions[])(const struct weft_operation *, void *) = {
            [HOOK_INIT] = hook.init,
            [HOOK_BEFORE] = hook.before,
            [HOOK_AFTER] = hook.after,
            [HOOK_DESTROY] = hook.destroy,
        };

        if (functions[event])
            functions[event](operation, hook.user);
    }
    current_leave(&saved);
    telling = false;
}
