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

/* A call that has not returned. */
struct bound_call {
    struct weft_bound bound; /* a copy, since the callback may free the caller's, or bind it to something else */
    bool last;
    struct current_scope *run;
};

/* However the callback was left. */
static void end_call(struct bound_call *call)
{
    tell(HOOK_AFTER, &call->bound, current_state.context);
    if (call->last)
        tell(HOOK_DESTROY, &call->bound, current_state.context);
    current_end_run(&call->run);
}

/* `context`: a reference that is taken over. */
static int call_in(struct weft_context *context, const struct weft_bound *bound, bool last)
{
    struct current_scope spare;
    struct bound_call call
        __attribute__((cleanup(end_call))) = {.bound = *bound, .last = last, .run = current_begin_run(context, &spare)};

    tell(HOOK_BEFORE, &call.bound, context);
    return call.bound.fn(call.bound.arg);
}

int weft_call(struct weft_bound *bound)
{
    return call_in(weft_context_ref(bound->context), bound, false);
}

int weft_call_once(struct weft_bound *bound)
{
    struct weft_bound called = *bound;

    bound->context = NULL;
    bound->operation = 0;
    return call_in(called.context, &called, true);
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
