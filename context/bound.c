/* Bound calls: a callback with the context it is to run in. To hooks, each binding is an operation. */
#include "context/async/hook.h"
#include "context/async/operation.h"
#include "context/async/running_job.h"

static void tell(enum hook_event event, const struct weft_bound *bound, struct weft_context *context)
{
    if (hooks_any() && bound->operation)
        hook_tell(event, &(struct weft_operation){.id = bound->operation, .kind = "bound", .context = context});
}

void weft_bind(struct weft_bound *bound, int (*fn)(void *arg), void *arg)
{
    *bound = (struct weft_bound){.fn = fn, .arg = arg, .context = weft_capture()};
    if (hooks_any() && bound->context && hook_listens()) {
        bound->operation = operation_next_id();
        hook_tell(HOOK_INIT, &(struct weft_operation){.id = bound->operation,
                                                      .trigger = weft_operation_current(),
                                                      .kind = "bound",
                                                      .place = OPERATION_PLACE(),
                                                      .context = bound->context});
    }
}

int weft_call(struct weft_bound *bound)
{
    struct weft_context *context = weft_context_ref(bound->context);
    struct weft_bound called = *bound; /* which the callback may free, or bind to something else */
    struct current saved;

    current_enter(&saved, context);
    tell(HOOK_BEFORE, &called, context);
    int result = called.fn(called.arg);
    tell(HOOK_AFTER, &called, current_state.context);
    current_leave(&saved);
    return result;
}

int weft_call_once(struct weft_bound *bound)
{
    struct weft_bound called = *bound; /* which the callback may free, or bind to something else */
    struct current saved;

    bound->context = NULL;
    bound->operation = 0;
    current_enter(&saved, called.context);
    tell(HOOK_BEFORE, &called, called.context);
    int result = called.fn(called.arg);
    tell(HOOK_AFTER, &called, current_state.context);
    tell(HOOK_DESTROY, &called, current_state.context);
    current_leave(&saved);
    return result;
}

void weft_unbind(struct weft_bound *bound)
{
    struct weft_bound ended = *bound;

    /* The reference moves out first: `bound` may be part of what goes with the context. */
    bound->context = NULL;
    bound->operation = 0;
    tell(HOOK_DESTROY, &ended, ended.context);
    (void)weft_context_unref(ended.context);
}
