#include "queue/redis/call.h"

#include <assert.h>

#include "context/container.h"

static int send_call(struct script_call *call)
{
    int r = call->kind->write(call);

    return r < 0 ? r : redis_send(call->redis, call->command, &call->request);
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct script_call *call = container_of(request, struct script_call, request);

    if (reply && reply_is_error(reply, "NOSCRIPT") && !call->with_source) {
        call->with_source = true;
        if (send_call(call) == 0)
            return;
        reply = NULL;
    }
    call->kind->done(call, reply);
}

int script_call_send(struct script_call *call, const struct script_call_kind *kind, struct redis *redis,
                     struct command *command)
{
    assert(kind->script && kind->write && kind->done);
    call->request.done = on_reply;
    call->kind = kind;
    call->redis = redis;
    call->command = command;
    call->with_source = kind->seldom;
    return send_call(call);
}

struct command *script_call_start(const struct script_call *call, size_t keys)
{
    assert(call->kind && call->command);
    if (call->with_source) {
        script_command_start(call->command, call->kind->script, keys);
    } else {
        command_start(call->command, "EVALSHA", call->kind->script->sha, NULL);
        command_add_number(call->command, (int64_t)keys);
    }
    return call->command;
}

void script_command_start(struct command *command, const struct queue_script *script, size_t keys)
{
    command_start(command, "EVAL", script->source, NULL);
    command_add_number(command, (int64_t)keys);
}

void script_command_add_queue(struct command *command, const struct queue_keys *keys)
{
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++)
        command_add(command, keys->names[i], keys->sizes[i]);
}
