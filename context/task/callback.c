#include "context/task/callback.h"

#include <stdio.h>
#include <stdlib.h>

#include "context/async/operation.h"
#include "context/container.h"
#include "context/machinery.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"

struct callback {
    struct loop_item item;
    struct timer timer;
    struct weft_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct operation operation;
};

static void describe(const struct operation *operation, char *buffer)
{
    const struct callback *callback = container_of(operation, const struct callback, operation);
    int64_t left_us = callback->timer.place ? callback->timer.deadline_us - time_steady_us() : 0;

    if (callback->timer.place)
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "call, %lld ms left",
                       (long long)(left_us > 0 ? left_us / 1000 : 0));
    else
        (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "call, ready");
}

static const struct operation_class call_class = {.kind = "call", .describe = describe};

static void callback_free(struct callback *callback)
{
    operation_end(&callback->operation);
    free(callback);
}

MACHINERY_BOTTOM static void run_callback(struct loop_item *item)
{
    struct callback *callback = container_of(item, struct callback, item);
    struct current saved;

    if (operation_is_pending(&callback->operation)) {
        operation_enter_last(&callback->operation, &saved);
        callback->fn(callback->arg);
        operation_leave(&callback->operation, &saved);
    } else {
        current_enter(&saved, NULL);
        callback->fn(callback->arg);
        current_leave(&saved);
    }
    callback_free(callback);
}

static void callback_is_due(struct timer *timer)
{
    struct callback *callback = container_of(timer, struct callback, timer);

    loop_push(callback->loop, &callback->item);
}

static int callback_new(void (*fn)(void *arg), void *arg, const void *place, struct callback **ret_callback)
{
    struct weft_loop *loop = loop_current();

    if (!loop || !fn)
        return loop ? -EINVAL : offload_is_here() ? -EDEADLK : -EPERM;

    struct callback *callback = malloc(sizeof(*callback));
    if (!callback)
        return -ENOMEM;
    *callback = (struct callback){
        .item.run = run_callback,
        .timer.fire = callback_is_due,
        .loop = loop,
        .fn = fn,
        .arg = arg,
    };
    if (current_state.context)
        operation_begin(&callback->operation, &call_class, place, 0);
    *ret_callback = callback;
    return 0;
}

int weft_call_soon(void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, OPERATION_PLACE(), &callback);

    if (r == 0)
        loop_push(callback->loop, &callback->item);
    return task_result(r);
}

int weft_call_later(uint64_t milliseconds, void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, OPERATION_PLACE(), &callback);

    if (r < 0)
        return task_result(r);
    r = loop_start_timer(callback->loop, &callback->timer, timer_deadline_in(milliseconds));
    if (r < 0)
        callback_free(callback);
    return task_result(r);
}

void callback_drop_all(struct weft_loop *loop)
{
    while (!STAILQ_EMPTY(&loop->ready)) {
        struct loop_item *item = STAILQ_FIRST(&loop->ready);

        STAILQ_REMOVE_HEAD(&loop->ready, next);
        if (item->run == run_callback)
            callback_free(container_of(item, struct callback, item));
    }
    for (struct timer *timer = timer_first(&loop->timers); timer; timer = timer_first(&loop->timers)) {
        timer_stop(&loop->timers, timer);
        if (timer->fire == callback_is_due)
            callback_free(container_of(timer, struct callback, timer));
    }
}
