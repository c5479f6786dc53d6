#include "queue/consumer/release.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "context/container.h"
#include "queue/redis/call.h"

struct release_call {
    struct script_call call;
    struct release *release;
    size_t queue;
};

struct release {
    struct queue_link link;
    void (*done)(void *user);
    void *user;
    struct command command;
    size_t outstanding;
    struct release_call calls[];
};

static int write_call(struct script_call *call)
{
    const struct release_call *of_queue = container_of(call, struct release_call, call);
    const struct release *release = of_queue->release;
    struct command *command = script_call_start(call, QUEUE_KEY_COUNT);

    script_command_add_queue(command, &release->link.keys[of_queue->queue]);
    command_add_text(command, release->link.consumer);
    return 0;
}

static void on_released(struct script_call *call, const redisReply *reply)
{
    struct release *release = container_of(call, struct release_call, call)->release;

    (void)reply;
    if (--release->outstanding == 0)
        release->done(release->user);
}

static const struct script_call_kind release_call = {
    .script = &queue_script_release, .write = write_call, .done = on_released};

int release_start(struct release *release)
{
    int r = 0;

    assert(release->outstanding == 0);
    for (size_t i = 0; i < release->link.options->queue_count && r == 0; i++) {
        r = script_call_send(&release->calls[i].call, &release_call, release->link.redis, &release->command);
        release->outstanding += r == 0;
    }
    return release->outstanding > 0 ? 0 : r;
}

int release_new(const struct queue_link *link, void (*done)(void *user), void *user, struct release **ret_release)
{
    const size_t queue_count = link->options->queue_count;
    struct release *release = calloc(1, sizeof(*release) + queue_count * sizeof(release->calls[0]));

    if (!release)
        return -ENOMEM;
    release->link = *link;
    release->done = done;
    release->user = user;
    for (size_t i = 0; i < queue_count; i++)
        release->calls[i] = (struct release_call){.release = release, .queue = i};
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
