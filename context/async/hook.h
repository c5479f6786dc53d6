/*
 * Hooks behind <weft/hooks.h>: telling them.
 */
#pragma once

#include <stdbool.h>

#include <weft/hooks.h>

enum hook_event { HOOK_INIT, HOOK_BEFORE, HOOK_AFTER, HOOK_DESTROY };

extern bool hooks_installed;

/* Whether any hook is installed: mostly not. */
static inline bool hooks_any(void)
{
    return __builtin_expect(__atomic_load_n(&hooks_installed, __ATOMIC_RELAXED), 0);
}

/* Whether the hooks are to be told of an operation that begins now: not of what a hook schedules. */
bool hook_listens(void);

/* Calls the hooks, in the operation's context. */
void hook_tell(enum hook_event event, const struct weft_operation *operation);
