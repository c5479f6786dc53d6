#include "queue/redis/call.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "context/container.h"

static int send_call(struct call *call)
{
    int r = call->kind->write(call);

    return r < 0 ? r : connection_send(call->connection, call->command, &call->request);
}

static void on_reply(struct connection_request *request, const redisReply *reply)
{
    struct call *call = container_of(request, struct call, request);

    assert(call->under_way);
    if (call->kind->script && reply && reply_is_error(reply, "NOSCRIPT") && !call->with_source) {
        call->with_source = true;
        if (send_call(call) == 0)
            return;
        reply = NULL;
    }
    call->under_way = false;
    call->kind->done(call, reply);
}

int call_send(struct call *call, const struct call_kind *kind, struct connection *connection, struct command *command)
{
    assert(kind->write && kind->done && !call->under_way);
    call->request.done = on_reply;
    call->kind = kind;
    call->connection = connection;
    call->command = command;
    call->with_source = kind->seldom;

    int r = send_call(call);

    call->under_way = r == 0;
    return r;
}

struct command *call_start(const struct call *call, size_t keys)
{
    assert(call->kind && call->command);
    if (call->with_source) {
        command_start_script(call->command, call->kind->script, keys);
    } else {
        command_start(call->command, "EVALSHA", call->kind->script->sha, NULL);
        command_add_number(call->command, (int64_t)keys);
    }
    return call->command;
}

void command_start_script(struct command *command, const struct queue_script *script, size_t keys)
{
    command_start(command, "EVAL", script->source, NULL);
    command_add_number(command, (int64_t)keys);
}

void command_add_queue(struct command *command, const struct queue_keys *keys)
{
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++)
        command_add(command, keys->names[i], keys->sizes[i]);
}

/* ---- To several queues ---- */

struct queue_call {
    struct call call;
    struct queue_calls *calls;
    bool anew; /* it is to be called once more */
};

static int write_one(struct call *call)
{
    const struct queue_call *one = container_of(call, struct queue_call, call);
    struct queue_calls *calls = one->calls;
    size_t queue = (size_t)(one - calls->each);

    if (calls->kind->script)
        command_add_queue(call_start(call, QUEUE_KEY_COUNT), &calls->link.keys[queue]);
    if (calls->kind->write)
        calls->kind->write(calls, queue, &calls->command);
    return 0;
}

static void on_one(struct call *call, const redisReply *reply)
{
    struct queue_call *one = container_of(call, struct queue_call, call);
    struct queue_calls *calls = one->calls;
    size_t queue = (size_t)(one - calls->each);
    bool anew = one->anew && reply;

    assert(calls->under_way > 0);
    calls->under_way--;
    one->anew = false;
    calls->kind->done(calls, queue, reply);
    if (anew)
        queue_calls_send_anew(calls, queue);
}

int queue_calls_init(struct queue_calls *calls, const struct queue_link *link, const struct queue_calls_kind *kind)
{
    size_t count = link->options->queue_count;

    *calls = (struct queue_calls){.link = *link, .kind = kind, .of_one = {kind->script, false, write_one, on_one}};
    calls->each = calloc(count, sizeof(*calls->each));
    if (!calls->each)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        calls->each[i].calls = calls;
    return 0;
}

void queue_calls_done(struct queue_calls *calls)
{
    command_done(&calls->command);
    free(calls->each);
    calls->each = NULL;
}

int queue_calls_send(struct queue_calls *calls, size_t queue)
{
    assert(queue < calls->link.options->queue_count);
    struct call *call = &calls->each[queue].call;

    if (call->under_way)
        return 0;

    int r = call_send(call, &calls->of_one, calls->link.connection, &calls->command);

    calls->under_way += r == 0;
    return r;
}

void queue_calls_send_anew(struct queue_calls *calls, size_t queue)
{
    assert(queue < calls->link.options->queue_count);
    calls->each[queue].anew = calls->each[queue].call.under_way;
    (void)!queue_calls_send(calls, queue);
}

bool queue_calls_is_under_way(const struct queue_calls *calls, size_t queue)
{
    return calls->each[queue].call.under_way;
}

int queue_calls_send_all(struct queue_calls *calls)
{
    int r = 0;

    for (size_t i = 0; i < calls->link.options->queue_count && r == 0; i++)
        r = queue_calls_send(calls, i);
    return r;
}
