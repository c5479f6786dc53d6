#include "queue/consumer/release.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/redis/script.h"

struct release_call {
    struct redis_request request; /* first, so that the one is found from the other */
    struct release *release;
    size_t queue;
    bool with_source;
};

struct release {
    struct redis *redis;
    const struct queue_keys *keys;
    size_t queue_count;
    const char *consumer;
    void (*done)(void *user);
    void *user;
    struct command command;
    size_t outstanding;
    struct release_call calls[];
};

static int send_call(struct release_call *call)
{
    struct release *release = call->release;
    int r;

    script_call_start(&release->command, &queue_script_release, call->with_source, 1);
    script_call_add_keys(&release->command, &release->keys[call->queue]);
    command_add_text(&release->command, release->consumer);
    r = redis_send(release->redis, &release->command, &call->request);
    if (r == 0)
        release->outstanding++;
    return r;
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct release_call *call = (struct release_call *)request;
    struct release *release = call->release;

    release->outstanding--;
    if (reply && reply_is_error(reply, "NOSCRIPT") && !call->with_source) {
        call->with_source = true;
        if (send_call(call) == 0)
            return;
    }
    if (release->outstanding == 0)
        release->done(release->user);
}

int release_start(struct release *release)
{
    int r = 0;

    for (size_t i = 0; i < release->queue_count && r == 0; i++)
        r = send_call(&release->calls[i]);
    return release->outstanding > 0 ? 0 : r;
}

int release_new(struct redis *redis, const struct queue_keys *keys, size_t queue_count, const char *consumer,
                void (*done)(void *user), void *user, struct release **ret_release)
{
    struct release *release = calloc(1, sizeof(*release) + queue_count * sizeof(release->calls[0]));

    if (!release)
        return -ENOMEM;
    release->redis = redis;
    release->keys = keys;
    release->queue_count = queue_count;
    release->consumer = consumer;
    release->done = done;
    release->user = user;
    for (size_t i = 0; i < queue_count; i++)
        release->calls[i] = (struct release_call){.request = {on_reply}, .release = release, .queue = i};
    *ret_release = release;
    return 0;
}

struct release *release_free(struct release *release)
{
    if (release)
        command_done(&release->command);
    free(release);
    return NULL;
}
