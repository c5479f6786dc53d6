/* hiredis's functions: commands run their callbacks in the context that they were sent in, and hiredis itself at the
 * root, so that what an adapter schedules for a connection is nobody's. */
#include "context/propagate/hiredis/redis_channel.h"
#include "context/propagate/hiredis/redis_turn.h"
#include "context/propagate/linked.h"

PROPAGATE_LINKED(redis);

/* ---- Sending ---- */

/* A command on its way to hiredis, in one of its two forms. */
struct sending {
    struct redisAsyncContext *connection;
    redis_reply_fn *fn;
    void *arg;
    const char *formatted; /* NULL: in words */
    size_t size;
    int count;
    const char **words;
    const size_t *sizes;
};

static int pass_on(const struct sending *sending, redis_reply_fn *fn, void *arg)
{
    struct current saved;

    propagate_suspend(&saved);
    int r =
        sending->formatted
            ? REAL(redisAsyncFormattedCommand)(sending->connection, fn, arg, sending->formatted, sending->size)
            : REAL(redisAsyncCommandArgv)(sending->connection, fn, arg, sending->count, sending->words, sending->sizes);
    propagate_resume(&saved);
    return r;
}

static int send_as_it_is(const struct sending *sending)
{
    return pass_on(sending, sending->fn, sending->arg);
}

static int send_ordinary(const struct sending *sending, const struct redis_command *command, const void *place)
{
    struct redis_call *call = NULL;

    if (propagate_follows((const void *)(uintptr_t)sending->fn))
        call = redis_call_new(sending->fn, sending->arg, &command->name, place);
    if (!call)
        return send_as_it_is(sending);
    int r = pass_on(sending, redis_call_answer, call);
    if (r != REDIS_LIBRARY_OK)
        redis_call_end(call, sending->connection);
    return r;
}

/* Those that hiredis keeps are noted wherever they are sent, since one takes the place of another. */
static int send_lasting(const struct sending *sending, const struct redis_command *command, const void *place)
{
    struct redis_connection *connection = redis_connection_get(sending->connection);
    struct redis_call *call = NULL;

    if (connection && sending->fn)
        call = redis_call_new(sending->fn, sending->arg, &command->name, place);
    if (!call)
        return sending->fn ? REDIS_LIBRARY_ERROR : send_as_it_is(sending);
    call->connection = connection;
    int r = pass_on(sending, redis_call_answer_again, call);
    if (r != REDIS_LIBRARY_OK) {
        redis_call_end(call, sending->connection);
        return r;
    }
    redis_connection_keep(connection, call);
    redis_connection_monitor(connection);
    return r;
}

static int subscribe(const struct sending *sending, const struct redis_command *command,
                     struct redis_connection *connection, struct redis_call *call)
{
    int r = call ? pass_on(sending, redis_channels_answer, call) : send_as_it_is(sending);

    if (r == REDIS_LIBRARY_OK) {
        redis_channels_subscribe(connection, command, call);
        return r;
    }
    redis_channels_forget(connection, command);
    /* Out of memory, hiredis may have noted it for some of the channels. */
    if (call) {
        operation_end(&call->operation);
        redis_connection_keep(connection, call);
    }
    return r;
}

static int send_subscription(const struct sending *sending, const struct redis_command *command, const void *place)
{
    struct redis_connection *connection = redis_connection_get(sending->connection);
    struct redis_call *call = NULL;

    if (!connection || redis_channels_prepare(connection, command) < 0)
        return REDIS_LIBRARY_ERROR;
    if (sending->fn) {
        call = redis_call_new(sending->fn, sending->arg, &command->name, place);
        if (!call) {
            redis_channels_forget(connection, command);
            return REDIS_LIBRARY_ERROR;
        }
        call->connection = connection;
    }
    return subscribe(sending, command, connection, call);
}

static int send_command(const struct sending *sending, const struct redis_command *command, const void *place)
{
    switch (command->kind) {
    case REDIS_COMMAND_ORDINARY:
        return send_ordinary(sending, command, place);
    case REDIS_COMMAND_SUBSCRIBE:
        return send_subscription(sending, command, place);
    case REDIS_COMMAND_LASTING:
        return send_lasting(sending, command, place);
    case REDIS_COMMAND_UNSUBSCRIBE:
        break;
    }
    return send_as_it_is(sending);
}

/* ---- Commands ---- */

PROPAGATE_EXPORT int redisAsyncFormattedCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg,
                                                const char *formatted, size_t size)
{
    struct redis_command command = redis_command_read(formatted, size);
    struct sending sending = {.connection = connection, .fn = fn, .arg = arg, .formatted = formatted, .size = size};

    return send_command(&sending, &command, OPERATION_PLACE());
}

PROPAGATE_EXPORT int redisAsyncCommandArgv(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg,
                                           int count, const char **words, const size_t *sizes)
{
    struct redis_command command = redis_command_read_words(count, words, sizes);
    struct sending sending = {
        .connection = connection, .fn = fn, .arg = arg, .count = count, .words = words, .sizes = sizes};

    return send_command(&sending, &command, OPERATION_PLACE());
}

static int send_format(struct sending *sending, const char *format, va_list args, const void *place)
{
    char *formatted;

    if (!current_state.context && !redis_format_may_subscribe(format))
        return REAL(redisvAsyncCommand)(sending->connection, sending->fn, sending->arg, format, args);

    int size = REAL(redisvFormatCommand)(&formatted, format, args);
    if (size < 0)
        return REDIS_LIBRARY_ERROR;
    sending->formatted = formatted;
    sending->size = (size_t)size;
    struct redis_command command = redis_command_read(formatted, sending->size);
    int r = send_command(sending, &command, place);
    REAL(redisFreeCommand)(formatted);
    return r;
}

PROPAGATE_EXPORT int redisvAsyncCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg,
                                        const char *format, va_list args)
{
    struct sending sending = {.connection = connection, .fn = fn, .arg = arg};

    return send_format(&sending, format, args, OPERATION_PLACE());
}

PROPAGATE_EXPORT int redisAsyncCommand(struct redisAsyncContext *connection, redis_reply_fn *fn, void *arg,
                                       const char *format, ...)
{
    struct sending sending = {.connection = connection, .fn = fn, .arg = arg};
    va_list args;

    va_start(args, format);
    int r = send_format(&sending, format, args, OPERATION_PLACE());
    va_end(args);
    return r;
}

/* ---- What happens on a connection ---- */

PROPAGATE_EXPORT void redisAsyncHandleRead(struct redisAsyncContext *connection)
{
    struct redis_turn turn;

    redis_turn_begin(&turn, connection);
    REAL(redisAsyncHandleRead)(connection);
    redis_turn_end(&turn);
}

PROPAGATE_EXPORT void redisAsyncHandleWrite(struct redisAsyncContext *connection)
{
    struct redis_turn turn;

    redis_turn_begin(&turn, connection);
    REAL(redisAsyncHandleWrite)(connection);
    redis_turn_end(&turn);
}

PROPAGATE_EXPORT void redisAsyncHandleTimeout(struct redisAsyncContext *connection)
{
    struct redis_turn turn;

    redis_turn_begin(&turn, connection);
    REAL(redisAsyncHandleTimeout)(connection);
    redis_turn_end(&turn);
}

PROPAGATE_EXPORT void redisAsyncDisconnect(struct redisAsyncContext *connection)
{
    struct redis_turn turn;

    redis_turn_begin(&turn, connection);
    REAL(redisAsyncDisconnect)(connection);
    redis_turn_end(&turn);
}

PROPAGATE_EXPORT void redisAsyncFree(struct redisAsyncContext *connection)
{
    struct redis_turn turn;

    redis_turn_begin(&turn, connection);
    REAL(redisAsyncFree)(connection);
    redis_turn_end(&turn);
}

/* ---- A connection's own callbacks ---- */

/* A hook for the current context, on a connection that has a record; or NULL: it is not followed. */
static struct redis_hook *hook_to_set(struct redisAsyncContext *connection, enum redis_hook_kind kind, redis_any_fn *fn,
                                      const void *place)
{
    if (!propagate_follows((const void *)(uintptr_t)fn) || !redis_connection_get(connection))
        return NULL;
    return redis_hook_new(kind, fn, place);
}

/* When hiredis has answered; gives the answer. */
static int hook_was_set(struct redisAsyncContext *connection, enum redis_hook_kind kind, struct redis_hook *hook, int r)
{
    if (hook && r == REDIS_LIBRARY_OK)
        redis_hook_set(connection, kind, hook);
    else
        redis_hook_end(hook);
    return r;
}

PROPAGATE_EXPORT int redisAsyncSetConnectCallback(struct redisAsyncContext *connection, redis_status_fn *fn)
{
    struct redis_hook *hook = hook_to_set(connection, REDIS_HOOK_CONNECT, (redis_any_fn *)fn, OPERATION_PLACE());
    struct current saved;

    propagate_suspend(&saved);
    int r = REAL(redisAsyncSetConnectCallback)(connection, hook ? redis_hook_connected : fn);
    propagate_resume(&saved);
    return hook_was_set(connection, REDIS_HOOK_CONNECT, hook, r);
}

PROPAGATE_EXPORT int redisAsyncSetConnectCallbackNC(struct redisAsyncContext *connection, redis_status_mutable_fn *fn)
{
    struct redis_hook *hook = hook_to_set(connection, REDIS_HOOK_CONNECT, (redis_any_fn *)fn, OPERATION_PLACE());
    struct current saved;

    propagate_suspend(&saved);
    int r = REAL(redisAsyncSetConnectCallbackNC)(connection, hook ? redis_hook_connected_mutable : fn);
    propagate_resume(&saved);
    return hook_was_set(connection, REDIS_HOOK_CONNECT, hook, r);
}

PROPAGATE_EXPORT int redisAsyncSetDisconnectCallback(struct redisAsyncContext *connection, redis_status_fn *fn)
{
    struct redis_hook *hook = hook_to_set(connection, REDIS_HOOK_DISCONNECT, (redis_any_fn *)fn, OPERATION_PLACE());
    int r = REAL(redisAsyncSetDisconnectCallback)(connection, hook ? redis_hook_disconnected : fn);

    return hook_was_set(connection, REDIS_HOOK_DISCONNECT, hook, r);
}

PROPAGATE_EXPORT redis_push_fn *redisAsyncSetPushCallback(struct redisAsyncContext *connection, redis_push_fn *fn)
{
    redis_push_fn *before = (redis_push_fn *)redis_hook_function(connection, REDIS_HOOK_PUSH);
    struct redis_hook *hook = hook_to_set(connection, REDIS_HOOK_PUSH, (redis_any_fn *)fn, OPERATION_PLACE());
    redis_push_fn *old = REAL(redisAsyncSetPushCallback)(connection, hook ? redis_hook_pushed : fn);

    redis_hook_set(connection, REDIS_HOOK_PUSH, hook);
    return old == redis_hook_pushed ? before : old;
}
