#include "context/propagate/hiredis/redis_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "context/container.h"
#include "context/propagate/hiredis/redis_connection.h"
#include "context/propagate/hiredis/redis_turn.h"

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "redis %s",
                   container_of(operation, const struct redis_call, operation)->name);
}

static const void *callback_of(const struct operation *operation)
{
    return (const void *)(uintptr_t)container_of(operation, const struct redis_call, operation)->fn;
}

static const struct operation_class redis_class = {.kind = "redis", .describe = describe, .callback = callback_of};

struct redis_call *redis_call_new(redis_reply_fn *fn, void *arg, const struct redis_word *name, const void *place)
{
    struct redis_call *call = malloc(sizeof(*call));

    if (!call)
        return NULL;
    *call = (struct redis_call){.fn = fn, .arg = arg};
    size_t size = name->size < REDIS_CALL_NAME_SIZE ? name->size : REDIS_CALL_NAME_SIZE - 1;
    for (size_t i = 0; i < size; i++)
        call->name[i] = name->text[i] > ' ' && name->text[i] <= '~' ? name->text[i] : '?';
    /* A connection may be handed to another thread. */
    if (propagate_follows((const void *)(uintptr_t)fn))
        operation_begin(&call->operation, &redis_class, place, OPERATION_ELSEWHERE);
    return call;
}

void redis_call_end(struct redis_call *call, const struct redisAsyncContext *connection)
{
    if (call->has_ended)
        return;
    call->has_ended = true;
    operation_end(&call->operation);
    if (!redis_turn_keep(call, connection))
        free(call);
}

/* ---- Replies ---- */

void redis_call_run(struct redis_call *call, struct redisAsyncContext *connection, void *reply)
{
    struct current saved;

    if (!operation_is_pending(&call->operation)) {
        call->fn(connection, reply, call->arg);
        return;
    }
    operation_enter(&call->operation, &saved);
    call->fn(connection, reply, call->arg);
    operation_leave(&call->operation, &saved);
}

void redis_call_answer(struct redisAsyncContext *connection, void *reply, void *arg)
{
    struct redis_call *call = arg;
    struct current saved;

    if (!operation_is_pending(&call->operation)) {
        call->fn(connection, reply, call->arg);
        return;
    }
    operation_enter_last(&call->operation, &saved);
    call->fn(connection, reply, call->arg);
    operation_leave(&call->operation, &saved);
    /* hiredis calls everything again that it has on a connection which monitors. */
    struct redis_connection *monitoring = redis_connection_monitoring(connection);
    if (monitoring) {
        operation_end(&call->operation);
        redis_connection_keep(monitoring, call);
    } else {
        redis_call_end(call, connection);
    }
}

void redis_call_answer_again(struct redisAsyncContext *connection, void *reply, void *call)
{
    redis_call_run(call, connection, reply);
}
